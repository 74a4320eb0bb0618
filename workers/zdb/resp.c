/* A line, then a body, then the next line; what was understood is not looked at again. */
#include "resp.h"

#include <stdlib.h>
#include <string.h>

static const char no_array[] = "-Malformed request, array expected";
static const char no_args[] = "-Missing arguments";
static const char many_args[] = "-Too many arguments";
static const char no_bulk[] = "-Malformed query string";
static const char no_memory[] = "-Internal memory error";
static const char too_big[] = "-Payload too big";

const struct resp_arg *resp_args(const struct resp *resp)
{
    return resp->many ? resp->many : resp->few;
}

void resp_clear(struct resp *resp)
{
    free(resp->many);
    resp->many = NULL;
    resp->n_args = resp->expected = resp->at = resp->room = 0;
    resp->in_bulk = 0;
}

size_t resp_missing(const struct resp *resp, size_t have)
{
    size_t needed = resp->in_bulk ? (size_t)resp->at + resp->bulk + 2 : (size_t)resp->at + 1;
    return needed > have ? needed - have : 1;
}

static int add_arg(struct resp *resp, uint32_t offset, uint32_t length)
{
    uint32_t room = resp->many ? resp->room : RESP_FEW;
    if (resp->n_args == room) {
        struct resp_arg *many = realloc(resp->many, 4 * (size_t)room * sizeof *many);
        if (!many)
            return -1;
        if (!resp->many)
            memcpy(many, resp->few, sizeof resp->few);
        resp->many = many;
        resp->room = 4 * room;
    }
    struct resp_arg *args = resp->many ? resp->many : resp->few;
    args[resp->n_args++] = (struct resp_arg){offset, length};
    return 0;
}

/* The number behind the first byte of a line; -2 for what is none, -1 for a negative one, and no
 * more than a little above any limit. */
static int64_t parse_number(const uint8_t *at, size_t length)
{
    int64_t value = 0;
    if (length > 0 && at[length - 1] == '\r')
        length--;
    if (length > 1 && at[0] == '-')
        return -1;
    if (length == 0)
        return -2;
    for (size_t i = 0; i < length; i++) {
        if (at[i] < '0' || at[i] > '9')
            return -2;
        if (value <= RESP_BULK_MAX)
            value = value * 10 + (at[i] - '0');
    }
    return value;
}

static const char *take_array_line(struct resp *resp, int64_t n)
{
    if (n == -1)
        return no_memory;
    if (n <= 0)
        return no_args;
    if (n > RESP_ARGS_MAX)
        return many_args;
    resp->expected = (uint32_t)n;
    return NULL;
}

static const char *take_bulk_line(struct resp *resp, int64_t length)
{
    if (length < 0)
        return no_bulk;
    if (length > RESP_BULK_MAX || resp->at + (uint64_t)length > RESP_REQUEST_MAX)
        return too_big;
    resp->bulk = (uint32_t)length;
    resp->in_bulk = 1;
    return NULL;
}

/* The next line, if it is whole. */
static enum resp_result take_line(struct resp *resp, const uint8_t *data, size_t length,
                                  const char **out_error)
{
    const uint8_t *line = data + resp->at;
    size_t have = length - resp->at;
    *out_error = NULL;
    if (have == 0)
        return RESP_MORE;
    if (line[0] != (resp->expected == 0 ? '*' : '$')) {
        *out_error = resp->expected == 0 ? no_array : no_bulk;
        return RESP_ERROR;
    }
    const uint8_t *end = memchr(line, '\n', have < RESP_LINE_MAX ? have : RESP_LINE_MAX);
    if (!end && have < RESP_LINE_MAX)
        return RESP_MORE;
    if (!end) {
        *out_error = no_bulk;
        return RESP_ERROR;
    }
    int64_t number = parse_number(line + 1, (size_t)(end - line) - 1);
    resp->at = (uint32_t)(end + 1 - data);
    *out_error = resp->expected == 0 ? take_array_line(resp, number) : take_bulk_line(resp, number);
    return *out_error ? RESP_ERROR : RESP_REQUEST;
}

enum resp_result resp_parse(struct resp *resp, const uint8_t *data, size_t length, size_t *out_used,
                            const char **out_error)
{
    for (;;) {
        if (!resp->in_bulk) {
            enum resp_result result = take_line(resp, data, length, out_error);
            if (result != RESP_REQUEST)
                return result;
            if (!resp->in_bulk)
                continue;
        }
        if (length - resp->at < (size_t)resp->bulk + 2)
            return RESP_MORE;
        if (add_arg(resp, resp->at, resp->bulk) < 0) {
            *out_error = no_memory;
            return RESP_ERROR;
        }
        resp->at += resp->bulk + 2;
        resp->in_bulk = 0;
        if (resp->n_args < resp->expected)
            continue;
        *out_used = resp->at;
        return RESP_REQUEST;
    }
}
