/* Requests and replies of the tables, from their notation to bytes and back to people. */
#include "script.h"

#include "base/clock.h"

#include <ctype.h>
#include <sched.h>
#include <stdlib.h>

/* --- requests -------------------------------------------------------------------------------- */

static uint8_t hex_byte(const char *at)
{
    const char digits[3] = {at[0], at[1], '\0'};
    return (uint8_t)strtoul(digits, NULL, 16);
}

/* Up to the end of the text: %XX becomes a byte. */
static void put_escaped(struct peer_bytes *out, const char *at, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bool escape = at[i] == '%' && i + 2 < size && isxdigit((unsigned char)at[i + 1]) &&
                      isxdigit((unsigned char)at[i + 2]);
        if (!escape) {
            peer_put(out, at + i, 1);
            continue;
        }
        peer_put_u8(out, hex_byte(at + i + 1));
        i += 2;
    }
}

static void put_word(struct peer_bytes *out, const char *at, size_t size)
{
    if (size == 2 && memcmp(at, "''", 2) == 0)
        return;
    if (at[0] != '@' || size == 1) {
        put_escaped(out, at, size);
        return;
    }
    for (unsigned long n = strtoul(at + 1, NULL, 10); n > 0; n--)
        peer_put(out, "k", 1);
}

uint8_t *request_parse(const char *request, size_t *out_size)
{
    struct peer_bytes parts[64] = {0};
    struct word words[array_length(parts)];
    size_t n = 0;
    for (const char *at = request; *at;) {
        size_t size = strcspn(at, " ");
        assert_true(n < array_length(parts));
        put_word(&parts[n], at, size);
        words[n] = (struct word){parts[n].at, parts[n].size};
        n++;
        at += size + (at[size] == ' ');
    }
    uint8_t *bytes = request_format(words, n, out_size);
    for (size_t i = 0; i < n; i++)
        peer_bytes_free(&parts[i]);
    return bytes;
}

/* --- replies --------------------------------------------------------------------------------- */

struct match {
    const uint8_t *at;
    size_t size, used;
};

static bool take(struct match *match, const void *bytes, size_t size)
{
    if (match->size - match->used < size || memcmp(match->at + match->used, bytes, size) != 0)
        return false;
    match->used += size;
    return true;
}

/* The number after the first byte of a line, and the line's end. */
static bool take_number(struct match *match, char kind, long *out)
{
    char *end, digits[32] = {0};
    size_t left = match->size - match->used;
    if (left < 4 || match->at[match->used] != (uint8_t)kind)
        return false;
    memcpy(digits, match->at + match->used + 1, left - 1 < 30 ? left - 1 : 30);
    *out = strtol(digits, &end, 10);
    match->used += 1 + (size_t)(end - digits);
    return end > digits && take(match, "\r\n", 2);
}

static bool take_error(struct match *match)
{
    const uint8_t *at = match->at + match->used;
    size_t left = match->size - match->used;
    const uint8_t *end = left > 0 && at[0] == '-' ? memchr(at, '\n', left) : NULL;
    if (!end)
        return false;
    match->used += (size_t)(end - at) + 1;
    return true;
}

static bool bulk_fits(const uint8_t *bulk, size_t size, const char *token, size_t token_size)
{
    if (token[0] == '~' && token_size == 1)
        return true;
    if (token[0] == '#' && token_size == 1) {
        for (size_t i = 0; i < size; i++)
            if (!isdigit(bulk[i]))
                return false;
        return size > 0;
    }
    if (token[0] == '?' && token_size > 1)
        return size == strtoul(token + 1, NULL, 10);
    bool prefix = token_size > 0 && token[0] == '^';
    struct peer_bytes expected = {0};
    put_escaped(&expected, token + prefix, token_size - prefix);
    bool fits = prefix ? size >= expected.size : size == expected.size;
    fits = fits && (expected.size == 0 || memcmp(bulk, expected.at, expected.size) == 0);
    peer_bytes_free(&expected);
    return fits;
}

static bool match_bulk(struct match *match, const char *token, size_t size)
{
    long length;
    if (!take_number(match, '$', &length) || length < 0 ||
        match->size - match->used < (size_t)length + 2)
        return false;
    const uint8_t *bulk = match->at + match->used;
    match->used += (size_t)length;
    return take(match, "\r\n", 2) && bulk_fits(bulk, (size_t)length, token, size);
}

static bool match_token(struct match *match, const char *token, size_t size)
{
    long number;
    if (size == 3 && memcmp(token, "nil", 3) == 0)
        return take(match, "$-1\r\n", 5);
    if (size == 2 && memcmp(token, ":#", 2) == 0)
        return take_number(match, ':', &number);
    if (size == 2 && memcmp(token, "-?", 2) == 0)
        return take_error(match);
    if (token[0] == '=')
        return match_bulk(match, token + 1, size - 1);
    return take(match, token, size) && take(match, "\r\n", 2);
}

static void print_bytes(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size && i < 400; i++)
        if (bytes[i] == '\r' || bytes[i] == '\n')
            print_error(bytes[i] == '\r' ? "\\r" : "\\n");
        else if (isprint(bytes[i]))
            print_error("%c", bytes[i]);
        else
            print_error("%%%02x", bytes[i]);
    print_error("\n");
}

bool reply_fits(const uint8_t *bytes, size_t size, const char *reply)
{
    struct match match = {.at = bytes, .size = size};
    for (const char *at = reply; *at;) {
        size_t length = strcspn(at, "|");
        if (!match_token(&match, at, length))
            return false;
        at += length + (at[length] == '|');
    }
    return match.used == size;
}

void reply_match(const uint8_t *bytes, size_t size, const char *reply, const char *what,
                 const char *file, int line)
{
    if (bytes && reply_fits(bytes, size, reply))
        return;
    print_error("asked:    %s\nexpected: %s\ngot:      ", what, reply);
    if (bytes)
        print_bytes(bytes, size);
    else
        print_error("the end of the connection\n");
    _fail(file, line);
}

/* --- conversations --------------------------------------------------------------------------- */

static void expect(struct client *client, const char *reply, const char *what, const char *file,
                   int line)
{
    size_t size = 0;
    char text[512];
    assert_true(strlen(reply) < sizeof text);
    memcpy(text, reply, strlen(reply) + 1);
    char *last = strrchr(text, '|');
    bool ends = strcmp(last ? last + 1 : text, "EOF") == 0;
    if (ends)
        *(last ? last : text) = '\0';
    if (text[0]) {
        const uint8_t *bytes = client_reply(client, &size);
        reply_match(bytes, size, text, what, file, line);
    }
    if (!ends || client_ends(client))
        return;
    print_error("asked:    %s\nexpected: the end of the connection\n", what);
    _fail(file, line);
}

void ask_one(unsigned number, const char *request, const char *reply, const char *file, int line)
{
    struct client *client = on(number);
    if (*request) {
        size_t size;
        uint8_t *bytes = request_parse(request, &size);
        bool sent = client_send(client, bytes, size);
        free(bytes);
        if (!sent) {
            print_error("asked:    %s\nthe connection is closed\n", request);
            _fail(file, line);
        }
    }
    if (*reply)
        expect(client, reply, request, file, line);
}

void script_run(const struct row *rows, size_t n, const char *file, int line)
{
    for (size_t i = 0; i < n; i++)
        ask_one(rows[i].on, rows[i].request, rows[i].reply, file, line);
}

char *ask_bulk(unsigned number, const char *request, size_t *out_size)
{
    size_t size;
    long length;
    ask(number, request, "");
    const uint8_t *bytes = client_reply(on(number), &size);
    struct match match = {.at = bytes, .size = bytes ? size : 0};
    if (!take_number(&match, '$', &length) || length < 0)
        fail_msg("%s: no bulk string", request);
    char *text = malloc((size_t)length + 1);
    assert_non_null(text);
    memcpy(text, bytes + match.used, (size_t)length);
    text[length] = '\0';
    if (out_size)
        *out_size = (size_t)length;
    return text;
}

uint64_t ask_info(unsigned number, const char *request, const char *field)
{
    char head[64];
    autofree char *text = ask_bulk(number, request, NULL);
    (void)snprintf(head, sizeof head, "\n%s: ", field);
    const char *line = strstr(text, head);
    if (!line)
        fail_msg("INFO has no %s", field);
    return strtoull(line + strlen(head), NULL, 10);
}

void removals_end(unsigned number)
{
    uint64_t deadline = clock_monotonic_ms() + CLIENT_WAIT_MS;
    while (ask_info(number, "INFO", "removals_left") > 0) {
        assert_true(clock_monotonic_ms() < deadline);
        (void)sched_yield();
    }
}
