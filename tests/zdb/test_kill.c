/*
 * The server is killed before and after its n-th change of a file, for every n of a workload. Its
 * next life must have all that was acknowledged, what was in the air as it was before or as it was
 * to become, and files that the independent reader can explain to the last byte.
 *
 * A run takes every STRIDE-th n, from a beginning that is drawn and printed; all of them with
 * STORAGED_TEST_STRIDE=1.
 */
#include "script.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    KEYS = 12,
    IDS_MAX = 128,
    OPS = 70,
    STRIDE = 23,
    STEPS_MAX = 20000,
    LARGE = 70000, /* written from where it stands */
};

static char steps[PATH_MAX]; /* base/step.h: "STORAGED_STEPS=zdb:<file>", which holds how many */
static const char *const environment[] = {steps, NULL};

static unsigned stride(void)
{
    const char *text = getenv("STORAGED_TEST_STRIDE");
    unsigned given = text ? (unsigned)strtoul(text, NULL, 10) : 0;
    return given ? given : STRIDE;
}

static unsigned first_step(void)
{
    unsigned drawn = 0;
    assert_int_equal(getrandom(&drawn, sizeof drawn, 0), sizeof drawn);
    drawn = 1 + drawn % stride();
    fprintf(stderr, "from step %u on, every %u-th\n", drawn, stride());
    return drawn;
}

/* --- asking a server that may die ------------------------------------------------------------ */

static const uint8_t *try_words(const struct word *words, size_t n, size_t *out_size)
{
    return client_send_words(on(1), words, n) ? client_reply(on(1), out_size) : NULL;
}

static bool starts_doomed(unsigned n, const char *const *flags)
{
    long left = (long)n;
    const struct peer_bytes count = {.at = (uint8_t *)&left, .size = sizeof left};
    (void)snprintf(steps, sizeof steps, "STORAGED_STEPS=zdb:%s/steps", zdb.dir);
    assert_true(peer_file_write(strchr(steps, ':') + 1, &count));
    zdb.environment = environment;
    bool serves = server_try_start(&zdb, flags);
    zdb.environment = NULL;
    return serves;
}

/* The directories as they were in the beginning. */
static void begin_anew(void)
{
    char command[2 * PATH_MAX];
    hangup_all();
    server_end(&zdb);
    (void)snprintf(command, sizeof command, "rm -rf '%s' '%s'", zdb.index, zdb.data);
    assert_int_equal(system(command), 0);
}

/* --- keys and ids ---------------------------------------------------------------------------- */

struct value {
    bool is_set;
    uint32_t size, seed;
};

/* A key of user mode by its number, or an id that was given. */
struct item {
    struct value now, next; /* next: what was asked for and not acknowledged */
    bool in_the_air;
    uint8_t id[8];
};

static struct {
    enum peer_mode mode;
    struct item items[IDS_MAX];
    size_t n; /* of ids */
    bool id_in_the_air;
    struct value new_value;
} model;

static uint8_t payload[LARGE];

static void fill(const struct value *value)
{
    uint32_t state = value->seed * 2654435761u + 1;
    for (uint32_t i = 0; i < value->size; i++) {
        state = state * 1664525u + 1013904223u;
        payload[i] = (uint8_t)(state >> 24);
    }
}

static struct word key_of(size_t i, char text[16])
{
    if (model.mode == PEER_SEQ)
        return (struct word){model.items[i].id, 8};
    (void)snprintf(text, 16, "key-%zu", i);
    return (struct word){text, strlen(text)};
}

static bool is_value(const uint8_t *reply, size_t size, const struct value *value)
{
    char head[32];
    if (!value->is_set)
        return size == 5 && memcmp(reply, "$-1\r\n", 5) == 0;
    size_t n = (size_t)snprintf(head, sizeof head, "$%u\r\n", value->size);
    fill(value);
    return size == n + value->size + 2 && memcmp(reply, head, n) == 0 &&
           memcmp(reply + n, payload, value->size) == 0;
}

/* False when the server died of it. */
static bool set(size_t i, struct value value)
{
    char text[16];
    size_t size;
    struct item *item = &model.items[i];
    item->next = value;
    item->in_the_air = true;
    fill(&value);
    const struct word words[] = {word("SET"), key_of(i, text), {payload, value.size}};
    const uint8_t *reply = try_words(words, 3, &size);
    if (!reply)
        return false;
    if (reply[0] != '$')
        fail_msg("SET: %.*s", (int)size, (const char *)reply);
    item->now = value;
    item->in_the_air = false;
    return true;
}

static bool add(struct value value)
{
    size_t size;
    assert_true(model.n < IDS_MAX);
    model.new_value = value;
    model.id_in_the_air = true;
    fill(&value);
    const struct word words[] = {word("SET"), word(""), {payload, value.size}};
    const uint8_t *reply = try_words(words, 3, &size);
    if (!reply)
        return false;
    assert_int_equal(size, 4 + 8 + 2);
    model.id_in_the_air = false;
    struct item *item = &model.items[model.n];
    *item = (struct item){.now = value};
    memcpy(item->id, reply + 4, 8);
    for (size_t i = 0; i < model.n; i++)
        if (memcmp(model.items[i].id, item->id, 8) == 0)
            fail_msg("id %ju is given twice", (uintmax_t)peer_u64(item->id));
    model.n++;
    return true;
}

static bool delete (size_t i)
{
    char text[16];
    size_t size;
    struct item *item = &model.items[i];
    item->next = (struct value){0};
    item->in_the_air = true;
    const struct word words[] = {word("DEL"), key_of(i, text)};
    const uint8_t *reply = try_words(words, 2, &size);
    if (!reply)
        return false;
    reply_match(reply, size, item->now.is_set ? "+OK" : "-Key not found", "DEL", __FILE__,
                __LINE__);
    item->now = (struct value){0};
    item->in_the_air = false;
    return true;
}

static bool plain(const char *request)
{
    size_t size;
    const struct word words[] = {word(request)};
    const uint8_t *reply = try_words(words, 1, &size);
    if (reply)
        reply_match(reply, size, "+OK", request, __FILE__, __LINE__);
    return reply != NULL;
}

/* One change, always the same for the same number. */
static bool change(unsigned number)
{
    uint32_t dice = number * 2654435761u >> 8;
    size_t n = model.mode == PEER_SEQ ? model.n : KEYS;
    size_t i = n ? dice % n : 0;
    struct value value = {.is_set = true,
                          .size =
                              number % 9 == 4 ? LARGE : dice % 50000 % (number % 2 ? 100 : 40000),
                          .seed = number + 1};
    if (number % 17 == 16)
        return plain("NSJUMP");
    if (number % 29 == 28)
        return plain("COMPACT");
    if (model.mode == PEER_SEQ && (n < 3 || number % 3 == 0 || !model.items[i].now.is_set))
        return add(value);
    return number % 7 == 6 ? delete (i) : set(i, value);
}

/* --- after the kill -------------------------------------------------------------------------- */

static void check_item(unsigned n, size_t i)
{
    char text[16];
    size_t size;
    struct item *item = &model.items[i];
    const struct word words[] = {word("GET"), key_of(i, text)};
    const uint8_t *reply = try_words(words, 2, &size);
    assert_non_null(reply);
    if (item->in_the_air && is_value(reply, size, &item->next)) {
        item->now = item->next;
    } else if (!is_value(reply, size, &item->now)) {
        server_print_log(&zdb);
        fail_msg("killed at step %u: item %zu, of %u bytes, is %.*s", n, i, item->now.size,
                 size < 60 ? (int)size : 60, (const char *)reply);
    }
    item->in_the_air = false;
}

static void check_all(unsigned n, const char *const *flags)
{
    server_start(&zdb, flags);
    for (size_t i = 0; i < (model.mode == PEER_SEQ ? model.n : KEYS); i++)
        check_item(n, i);
    const struct value more = {true, 1000, n};
    if (model.mode == PEER_SEQ) {
        assert_true(add(more)); /* which holds the id against all that were given */
    } else {
        assert_true(set(0, more));
    }
    for (size_t i = 0; i < (model.mode == PEER_SEQ ? model.n : KEYS); i++)
        check_item(n, i);
    hangup_all();
    server_stop(&zdb);
    struct peer_ns back;
    server_read_back(&zdb, "default", &back);
    peer_ns_free(&back);
}

/* True if it lived to the end. */
static bool run_until(unsigned n, const char *const *flags)
{
    begin_anew();
    if (!starts_doomed(n, flags))
        return false;
    bool lives = true;
    for (unsigned number = 0; lives && number < OPS; number++)
        lives = change(number);
    hangup_all();
    if (lives)
        server_kill(&zdb);
    else
        server_end(&zdb);
    return lives;
}

static void kills(enum peer_mode mode, const char *const *flags)
{
    bool lives = false;
    unsigned n = first_step();
    for (; !lives && n < STEPS_MAX; n += stride()) {
        memset(&model, 0, sizeof model);
        model.mode = mode;
        lives = run_until(n, flags);
        check_all(n, flags);
    }
    fprintf(stderr, "it lives from step %u on\n", n);
    assert_in_range(n, 300, STEPS_MAX);
}

static void no_user_key_is_lost(void)
{
    kills(PEER_USER, (const char *const[]){"--datasize", "512K", NULL});
}

static void no_synced_user_key_is_lost(void)
{
    kills(PEER_USER, (const char *const[]){"--datasize", "512K", "--sync", NULL});
}

static void no_id_is_lost_or_given_again(void)
{
    kills(PEER_SEQ, (const char *const[]){"--datasize", "512K", "--mode", "seq", NULL});
}

static void no_synced_id_is_lost_or_given_again(void)
{
    kills(PEER_SEQ, (const char *const[]){"--datasize", "512K", "--mode", "seq", "--sync", NULL});
}

/* --- namespaces ------------------------------------------------------------------------------ */

/* A life of a namespace; the reply of each. */
static const struct row life[] = {
    {1, "NSNEW a", "+OK"},
    {1, "NSSET a maxsize 5000", "+OK"},
    {1, "NSSET a password secret", "+OK"},
    {1, "NSSET a public 0", "+OK"},
    {1, "SELECT a secret", "+OK"},
    {1, "SET key value", "=key"},
    {1, "NSJUMP", "+OK"},
    {1, "SET key other", "=key"},
    {1, "FLUSH", "+OK"},
    {1, "SET key third", "=key"},
    {1, "RELOAD a", "+OK"},
    {1, "SELECT default", "+OK"},
    {1, "NSDEL a", "+OK"},
    {1, "NSNEW a", "+OK"},
    {1, "SELECT a", "+OK"},
    {1, "SET key fourth", "=key"},
    {1, "SELECT default", "+OK"},
    {1, "NSNEW b", "+OK"},
    {1, "NSSET b mode seq", "+OK"},
    {1, "NSDEL b", "+OK"},
};

enum {
    MADE = 0,
    CLOSED = 3,
    FIRST_SET = 5,
    SECOND_SET = 7,
    FLUSHED = 8,
    THIRD_SET = 9,
    GONE = 12,
    MADE_AGAIN,
    FOURTH_SET = 15
};

/* How many of them were answered. */
static size_t live(void)
{
    for (size_t i = 0; i < array_length(life); i++) {
        size_t length, size;
        uint8_t *request = request_parse(life[i].request, &length);
        const uint8_t *reply =
            client_send(on(1), request, length) ? client_reply(on(1), &size) : NULL;
        free(request);
        if (!reply)
            return i;
        reply_match(reply, size, life[i].reply, life[i].request, __FILE__, __LINE__);
    }
    return array_length(life);
}

static bool has_namespace(const char *name)
{
    char bulk[32];
    size_t size;
    const struct word words[] = {word("NSLIST")};
    const uint8_t *list = try_words(words, 1, &size);
    assert_non_null(list);
    (void)snprintf(bulk, sizeof bulk, "\n%s\r", name);
    return memmem(list, size, bulk, strlen(bulk)) != NULL;
}

/* The second of its name has nothing of the first. */
static void check_second(size_t done)
{
    size_t size;
    const struct word get[] = {word("GET"), word("key")};
    bool is_there = has_namespace("a");
    assert_true(is_there || done == MADE_AGAIN);
    if (!is_there)
        return;
    ask(1, "SELECT a", "+OK");
    const uint8_t *reply = try_words(get, 2, &size);
    assert_non_null(reply);
    if (!(done <= FOURTH_SET && reply_fits(reply, size, "nil")) &&
        !(done >= FOURTH_SET && reply_fits(reply, size, "=fourth")))
        fail_msg("after %zu of its lives, the key is %.*s", done, (int)size, (const char *)reply);
    ask(1, "SELECT default", "+OK");
}

/* `done`: so many were answered, and the next one may have had its effect. */
static void check_namespace(size_t done)
{
    size_t size;
    const struct word get[] = {word("GET"), word("key")};
    if (done > GONE)
        check_second(done);
    if (done <= MADE || done >= GONE)
        return;
    assert_true(has_namespace("a"));
    if (done <= CLOSED)
        return;
    ask(1, "SELECT a", "-Namespace protected and private");
    ask(1, "SELECT a secret", "+OK");
    const uint8_t *reply = try_words(get, 2, &size);
    static const char *const values[] = {"nil", "=value", "=other", "=third"};
    bool allowed[] = {
        done <= FIRST_SET || done == FLUSHED || done == THIRD_SET,
        done >= FIRST_SET && done <= SECOND_SET,
        done == SECOND_SET || done == FLUSHED,
        done >= THIRD_SET,
    };
    bool fits = false;
    for (size_t i = 0; i < array_length(values); i++)
        fits = fits || (allowed[i] && reply_fits(reply, size, values[i]));
    if (!fits)
        fail_msg("after %zu of its life, the key is %.*s", done, (int)size, (const char *)reply);
    ask(1, "SELECT default", "+OK");
}

static void check_nothing_is_aside(const char *root)
{
    autodir DIR *stream = opendir(root);
    assert_non_null(stream);
    for (const struct dirent *entry; (entry = readdir(stream));)
        if (strncmp(entry->d_name, ".zdb-deleted", 12) == 0)
            fail_msg("%s/%s is left", root, entry->d_name);
}

static void namespaces_are_whole_or_not_there(void)
{
    size_t done = 0;
    unsigned step = stride() / 4 + 1, n = 1 + first_step() % step;
    for (; done < array_length(life) && n < STEPS_MAX; n += step) {
        begin_anew();
        done = starts_doomed(n, NULL) ? live() : 0;
        hangup_all();
        server_end(&zdb);
        server_start(&zdb, NULL);
        check_namespace(done);
        removals_end(1);
        check_nothing_is_aside(zdb.data);
        check_nothing_is_aside(zdb.index);
        ask(1, "NSNEW again", "+OK");
        ask(1, "SET key value", "=key");
        hangup_all();
        server_stop(&zdb);
    }
    fprintf(stderr, "it lives from step %u on\n", n);
    assert_in_range(n, 50, STEPS_MAX);
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(no_user_key_is_lost),
        zdb_case(no_synced_user_key_is_lost),
        zdb_case(no_id_is_lost_or_given_again),
        zdb_case(no_synced_id_is_lost_or_given_again),
        zdb_case(namespaces_are_whole_or_not_there),
    };
    return zdb_main(argc, argv, "zdb_kill", cases, array_length(cases));
}
