/*
 * Any one call of the server fails, once, at any time of a workload: nothing that was acknowledged
 * is lost, what was not is as it was before or as it was to become, and stays so over a restart.
 *
 * A run takes every STRIDE-th call, from a beginning that is drawn and printed; all of them with
 * STORAGED_TEST_STRIDE=1.
 */
#include "faulty.h"
#include "script.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

enum { KEYS = 6, OPS = 40, STRIDE = 19, SIZES = 30000 };

/* Each key's value as the number of the change that set it; 0: none. */
static struct {
    bool sequential;
    unsigned now[KEYS];
    uint8_t ids[KEYS][8];
    unsigned n; /* ids that were given */
} model;

static uint8_t payload[SIZES];

static size_t fill(unsigned number)
{
    size_t size = number * 7919 % SIZES;
    for (size_t i = 0; i < size; i++)
        payload[i] = (uint8_t)(number + i * i / 7);
    return size;
}

static int stride(void)
{
    const char *text = getenv("STORAGED_TEST_STRIDE");
    int given = text ? (int)strtol(text, NULL, 10) : 0;
    return given ? given : STRIDE;
}

static int first(void)
{
    unsigned drawn = 0;
    assert_int_equal(getrandom(&drawn, sizeof drawn, 0), sizeof drawn);
    return (int)(drawn % (unsigned)stride());
}

/* The directories as they were in the beginning. */
static void begin_anew(void)
{
    char command[2 * PATH_MAX];
    hangup_all();
    server_end(&zdb);
    (void)snprintf(command, sizeof command, "rm -rf '%s' '%s'", zdb.index, zdb.data);
    assert_int_equal(system(command), 0);
    memset(model.now, 0, sizeof model.now);
    model.n = 0;
}

static struct word key_of(unsigned key, char text[16])
{
    if (model.sequential)
        return (struct word){model.ids[key], 8};
    (void)snprintf(text, 16, "key-%u", key);
    return word(text);
}

/* NULL, on a connection that is new then, when there is no answer. */
static const uint8_t *request(const struct word *words, size_t n, size_t *out_size)
{
    const uint8_t *reply = NULL;
    if (client_send_words(on(1), words, n))
        reply = client_reply(on(1), out_size);
    if (!reply)
        hangup(1);
    return reply;
}

/* A read may be what fails: it is tried twice. */
static const uint8_t *get(unsigned key, size_t *out_size)
{
    char text[16];
    const struct word words[] = {word("GET"), key_of(key, text)};
    const uint8_t *reply = request(words, 2, out_size);
    if (reply && reply[0] == '-')
        reply = request(words, 2, out_size);
    assert_non_null(reply);
    return reply;
}

static bool has_value(unsigned key, unsigned number)
{
    char head[32];
    size_t size;
    const uint8_t *reply = get(key, &size);
    if (number == 0)
        return size == 5 && memcmp(reply, "$-1\r\n", 5) == 0;
    size_t length = fill(number), n = (size_t)snprintf(head, sizeof head, "$%zu\r\n", length);
    return size == n + length + 2 && memcmp(reply, head, n) == 0 &&
           memcmp(reply + n, payload, length) == 0;
}

static void check_key(unsigned key, const char *when)
{
    if (has_value(key, model.now[key]))
        return;
    server_print_log(&zdb);
    fail_msg("%s, key %u has not what change %u gave it", when, key, model.now[key]);
}

/* After an error it is the one or the other, and stays so. */
static void settle(unsigned key, unsigned next)
{
    size_t size;
    const struct word get[] = {word("GET"), word("no key")};
    const struct word reload[] = {word("RELOAD"), word("default")};
    hangup(1);
    const uint8_t *reply = request(get, 2, &size);
    assert_non_null(reply);
    if (reply[0] == '-' && (!(reply = request(reload, 2, &size)) || reply[0] == '-')) {
        server_print_log(&zdb);
        fail_msg("what failed once does not come back");
    }
    if (has_value(key, next))
        model.now[key] = next;
    else
        check_key(key, "after an error");
}

static void set(unsigned key, unsigned number)
{
    char text[16];
    size_t size, length = fill(number);
    const struct word words[] = {word("SET"), key_of(key, text), {payload, length}};
    const uint8_t *reply = request(words, 3, &size);
    if (reply && reply[0] == '$')
        model.now[key] = number;
    else
        settle(key, number);
}

static void add(unsigned number)
{
    size_t size, length = fill(number);
    const struct word words[] = {word("SET"), word(""), {payload, length}};
    const uint8_t *reply = request(words, 3, &size);
    if (!reply || reply[0] != '$') {
        hangup(1);
        return;
    }
    assert_int_equal(size, 4 + 8 + 2);
    memcpy(model.ids[model.n], reply + 4, 8);
    model.now[model.n++] = number;
}

static void delete (unsigned key)
{
    char text[16];
    size_t size;
    const struct word words[] = {word("DEL"), key_of(key, text)};
    const uint8_t *reply = request(words, 2, &size);
    if (reply && reply_fits(reply, size, "+OK"))
        model.now[key] = 0;
    else
        settle(key, 0);
}

static void change(unsigned number)
{
    size_t size;
    const struct word jump[] = {word("NSJUMP")}, compact[] = {word("COMPACT")};
    unsigned key = number * 2654435761u % KEYS;
    if (number % 8 == 7)
        (void)request(jump, 1, &size);
    else if (number % 13 == 12)
        (void)request(compact, 1, &size);
    else if (model.sequential && model.n < KEYS)
        add(number);
    else if (number % 6 == 5 && model.now[key])
        delete (key);
    else if (!model.sequential || model.now[key])
        set(key, number);
}

static void check_keys(const char *when)
{
    for (unsigned key = 0; key < (model.sequential ? model.n : KEYS); key++)
        check_key(key, when);
}

/* False when the call was not made so often. */
static bool survives(enum badcall call, int error, int n, const char *const *flags)
{
    begin_anew();
    faulty_start(flags);
    faulty_arm(call, n, 1, error);
    for (unsigned number = 1; number <= OPS; number++)
        change(number);
    bool failed = bad->failed > 0;
    faulty_disarm();
    check_keys("before the end");
    faulty_restart(flags);
    check_keys("in the next life");
    hangup_all();
    server_stop(&zdb);
    struct peer_ns back;
    server_read_back(&zdb, "default", &back);
    peer_ns_free(&back);
    return failed;
}

static void sweep(bool sequential)
{
    static const struct {
        enum badcall call;
        int error;
    } faults[] = {
        {BADCALL_SYNC, EIO},      {BADCALL_WRITE, EIO},       {BADCALL_WRITE, ENOSPC},
        {BADCALL_TRUNCATE, EIO},  {BADCALL_ALLOCATE, ENOSPC}, {BADCALL_ALLOCATE, EIO},
        {BADCALL_RENAME, ENOSPC}, {BADCALL_UNLINK, EIO},      {BADCALL_OPEN, EMFILE},
    };
    const char *flags[6] = {"--mode", sequential ? "seq" : "user", "--datasize", "512K"};
    model.sequential = sequential;
    for (size_t i = 0; i < array_length(faults); i++) {
        int n = first();
        do {
            /* Without it what a sync was for may be lost. */
            flags[4] = faults[i].call == BADCALL_SYNC || n % 2 ? "--sync" : NULL;
            fprintf(stderr, "call %d fails with %s after %d\n", faults[i].call,
                    strerror(faults[i].error), n);
        } while (survives(faults[i].call, faults[i].error, (n += stride()) - stride(), flags));
    }
}

static void no_failing_call_loses_a_user_key(void)
{
    sweep(false);
}

static void no_failing_call_loses_an_id(void)
{
    sweep(true);
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(no_failing_call_loses_a_user_key),
        zdb_case(no_failing_call_loses_an_id),
    };
    return zdb_main(argc, argv, "zdb_sweep", cases, array_length(cases));
}
