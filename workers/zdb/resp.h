/*
 * Requests: RESP2 arrays of bulk strings, as they arrive in pieces of any size. Nothing is copied:
 * an argument is a place in the bytes of its request. Lines may end in a bare newline, and the two
 * bytes behind a bulk string are skipped whatever they are, as upstream does.
 */
#ifndef WORKERS_ZDB_RESP_H
#define WORKERS_ZDB_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RESP_ARGS_MAX = 1024,
    RESP_LINE_MAX = 8192,
    RESP_BULK_MAX = 8388608,
    RESP_REQUEST_MAX = 9 << 20, /* all of one request */
    RESP_FEW = 8,
};

struct resp_arg {
    uint32_t offset; /* from the begin of the request */
    uint32_t length;
};

/* One request on its way. Zeroed, it is at the begin of one. */
struct resp {
    uint32_t n_args; /* those that are whole */
    uint32_t expected;
    uint32_t at;     /* bytes that were understood */
    uint32_t bulk;   /* the length of the argument that is awaited, */
    uint8_t in_bulk; /* if its line was read */
    uint32_t room;   /* of `many` */
    struct resp_arg few[RESP_FEW];
    struct resp_arg *many;
};

enum resp_result {
    RESP_MORE,    /* it goes on */
    RESP_REQUEST, /* it is whole */
    RESP_ERROR,   /* it is none; the connection cannot go on */
};

/* `data` is the request from its first byte on, with what came since the last call behind it.
 * `out_used`: the bytes of a whole request. `out_error`: a reply without its end of line. */
enum resp_result resp_parse(struct resp *resp, const uint8_t *data, size_t length, size_t *out_used,
                            const char **out_error);
const struct resp_arg *resp_args(const struct resp *resp);
/* It is a whole request, until it is cleared. */
static inline bool resp_is_whole(const struct resp *resp)
{
    return resp->expected > 0 && resp->n_args == resp->expected;
}
/* After RESP_MORE: at least so many bytes have to come. */
size_t resp_missing(const struct resp *resp, size_t have);
/* Ready for the next request; frees what a long one took. */
void resp_clear(struct resp *resp);

#endif
