/*
 * Requests of a 0-db client: the bytes whole and in pieces give the same requests, arguments lie
 * inside of what arrived, and a request that is written anew is read as the same.
 */
#include "fuzz.h"

#include "base/cleanup.h"
#include "resp.h"

#include <stdio.h>
#include <string.h>

enum { REQUESTS_MAX = 64 };

struct seen {
    size_t n;
    size_t used[REQUESTS_MAX];
    uint32_t n_args[REQUESTS_MAX];
    enum resp_result last;
    const char *error;
};

static void check_args(const struct resp *resp, size_t used)
{
    size_t end = 0;
    for (uint32_t i = 0; i < resp->n_args; i++) {
        const struct resp_arg *arg = &resp_args(resp)[i];
        fuzz_check(arg->offset > end && arg->length <= used && arg->offset <= used - arg->length);
        end = arg->offset + arg->length;
    }
    fuzz_check(end + 2 == used);
}

/* A copy of exactly this length, so that one byte more is a finding of ASan's. */
static enum resp_result parse(struct resp *resp, const uint8_t *data, size_t length,
                              size_t *out_used, const char **out_error)
{
    autofree uint8_t *copy = malloc(length ? length : 1);
    fuzz_check(copy != NULL);
    if (length)
        memcpy(copy, data, length);
    return resp_parse(resp, copy, length, out_used, out_error);
}

/* All requests, when `step` bytes more arrive at a time. */
static void parse_all(const uint8_t *data, size_t length, size_t step, struct seen *out_seen)
{
    struct resp resp = {0};
    size_t begin = 0, have = 0;
    *out_seen = (struct seen){.last = RESP_MORE};
    while (out_seen->n < REQUESTS_MAX) {
        size_t used = 0;
        const char *error = NULL;
        enum resp_result result = parse(&resp, data + begin, have - begin, &used, &error);
        if (result == RESP_MORE) {
            fuzz_check(resp_missing(&resp, have - begin) > 0);
            if (have == length)
                break;
            have += length - have < step ? length - have : step;
            continue;
        }
        out_seen->last = result;
        out_seen->error = error;
        if (result == RESP_ERROR)
            break;
        fuzz_check(used > 0 && used <= have - begin);
        check_args(&resp, used);
        out_seen->used[out_seen->n] = used;
        out_seen->n_args[out_seen->n++] = resp.n_args;
        out_seen->last = RESP_MORE;
        begin += used;
        resp_clear(&resp);
    }
    resp_clear(&resp);
}

static void check_same(const struct seen *a, const struct seen *b)
{
    fuzz_check(a->n == b->n && a->last == b->last);
    fuzz_check(memcmp(a->used, b->used, a->n * sizeof *a->used) == 0);
    fuzz_check(memcmp(a->n_args, b->n_args, a->n * sizeof *a->n_args) == 0);
    fuzz_check((a->error == NULL) == (b->error == NULL));
    fuzz_check(!a->error || (a->error[0] == '-' && strcmp(a->error, b->error) == 0));
}

/* Written anew in the plain form, and read again. */
static void check_again(const uint8_t *data, const struct resp *resp, size_t used)
{
    const struct resp_arg *args = resp_args(resp);
    size_t room = 32 + used + 32u * resp->n_args;
    autofree uint8_t *bytes = malloc(room);
    fuzz_check(bytes != NULL);
    size_t at = (size_t)snprintf((char *)bytes, room, "*%u\r\n", resp->n_args);
    for (uint32_t i = 0; i < resp->n_args; i++) {
        at += (size_t)snprintf((char *)bytes + at, room - at, "$%u\r\n", args[i].length);
        memcpy(bytes + at, data + args[i].offset, args[i].length);
        at += args[i].length;
        memcpy(bytes + at, "\r\n", 2);
        at += 2;
    }
    struct resp again = {0};
    size_t used_again = 0;
    const char *error = NULL;
    fuzz_check(resp_parse(&again, bytes, at, &used_again, &error) == RESP_REQUEST);
    fuzz_check(used_again == at && again.n_args == resp->n_args);
    for (uint32_t i = 0; i < resp->n_args; i++) {
        const struct resp_arg *arg = &resp_args(&again)[i];
        fuzz_check(arg->length == args[i].length);
        fuzz_check(memcmp(bytes + arg->offset, data + args[i].offset, arg->length) == 0);
    }
    resp_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    struct seen whole, pieces;
    parse_all(data, length, length ? length : 1, &whole);
    parse_all(data, length, length > 512 ? 97 : 1, &pieces);
    check_same(&whole, &pieces);
    struct resp resp = {0};
    size_t used;
    const char *error;
    if (resp_parse(&resp, data, length, &used, &error) == RESP_REQUEST)
        check_again(data, &resp, used);
    resp_clear(&resp);
    return 0;
}

static void seed(const char *text)
{
    fuzz_seed(text, strlen(text));
}

void fuzz_seeds(void)
{
    char many[1024 * 16];
    size_t used = (size_t)snprintf(many, sizeof many, "*1024\r\n");
    for (unsigned i = 0; i < 1024; i++)
        used += (size_t)snprintf(many + used, sizeof many - used, "$1\r\n%c\r\n", 'a' + i % 26);
    fuzz_seed(many, used);
    seed("*1\r\n$4\r\nPING\r\n");
    seed("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n");
    seed("*2\n$3\nGET\n\n$0\n\r\n");
    seed("*1025\r\n$4\r\nPING\r\n");
    seed("*2\r\n$3\r\nGET\r\n$8388609\r\n");
    seed("*-1\r\n");
    seed("*0\r\n");
    seed("*1\r\n$-1\r\n");
    seed("*4294967297\r\n$4294967300\r\nPING\r\n");
}
