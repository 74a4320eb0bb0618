/*
 * Random verbs on two namespaces, one of each mode, against a model of what was answered. Between
 * its lives the server is stopped or killed, and files that can be made again are removed, cut,
 * made longer or put back as they once were, and some starts fail half way. What is there after a
 * start is compared with the model, and once more after one more start: what a start makes of the
 * files, every later one must make of them.
 *
 * STORAGED_TEST_SEED makes other choices, STORAGED_TEST_TURNS gives it more lives, and with
 * STORAGED_TEST_TRACE it tells what it does.
 */
#include "../integration/dice.h"
#include "faulty.h"
#include "model.h"
#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    SEED = 20261121,
    LIVES = 14,
    VERBS_A_LIFE = 80,
    NAMESPACES = 2,
    IDS_MOST = MODEL_IDS - 1000,
    BYTES_MORE = 100,
    SKIP_MOST = 12,
};

static struct model models[NAMESPACES];
static uint64_t random_state;

static uint64_t roll(uint64_t sides)
{
    return dice(&random_state, sides);
}

static void tell(const char *what, const char *name)
{
    if (getenv("STORAGED_TEST_TRACE"))
        (void)fprintf(stderr, "%s %s\n", what, name);
}

/* --- the process ----------------------------------------------------------------------------- */

/* A start that ends in the middle of what it mends. */
static void start_in_vain(const char *const *flags)
{
    static const enum badcall calls[] = {BADCALL_WRITE, BADCALL_TRUNCATE, BADCALL_SYNC};
    tell("start in vain", "");
    if (faulty_try_start(flags, calls[roll(array_length(calls))], (int)roll(SKIP_MOST), INT_MAX,
                         EIO))
        server_kill(&zdb);
}

static void start(void)
{
    bool compacts = roll(3) == 0;
    const char *const flags[] = {"--datasize", "512K", "--compact", compacts ? "1" : "0", NULL};
    while (roll(3) == 0)
        start_in_vain(flags);
    tell(compacts ? "start with compaction" : "start", "");
    server_start(&zdb, flags);
    for (size_t i = 0; i < NAMESPACES; i++) {
        models[i].compacts = compacts;
        for (size_t k = 0; compacts && k < MODEL_IDS; k++)
            models[i].entries[k].may_lack = true;
        model_enter(&models[i]);
    }
}

static void end(void)
{
    bool kills = roll(2);
    tell(kills ? "kill" : "stop", "");
    if (kills) {
        for (size_t i = 0; i < NAMESPACES; i++)
            if (roll(2))
                model_send(&models[i]);
        server_kill(&zdb);
        hangup_all();
        return;
    }
    hangup_all();
    server_stop(&zdb);
}

static void compare(void)
{
    for (size_t i = 0; i < NAMESPACES; i++)
        model_compare(&models[i]);
}

/* --- the files ------------------------------------------------------------------------------- */

static void path_of(char out[PATH_MAX], const struct model *model, char letter, unsigned id)
{
    (void)snprintf(out, PATH_MAX, "%s/%s/%c%u", letter == 'd' ? zdb.data : zdb.index, model->name,
                   letter, id);
}

static unsigned count_pairs(const struct model *model)
{
    char path[PATH_MAX];
    unsigned n = 0;
    for (path_of(path, model, 'd', 0); access(path, F_OK) == 0; path_of(path, model, 'd', n))
        n++;
    return n;
}

static void resize(const char *path, off_t size)
{
    assert_int_equal(truncate(path, size), 0);
}

static off_t size_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

static void remove_indexes(struct model *model)
{
    char path[PATH_MAX];
    bool all = roll(2);
    model_lose_index(model);
    tell(all ? "remove all indexes" : "remove indexes", model->name);
    for (unsigned id = 0; id < count_pairs(model); id++)
        if (all || roll(2)) {
            path_of(path, model, 'i', id);
            assert_int_equal(unlink(path), 0);
        }
}

static unsigned random_pair(const struct model *model)
{
    unsigned n = count_pairs(model);
    return roll(2) ? n - 1 : (unsigned)roll(n);
}

static void cut_index(struct model *model)
{
    char path[PATH_MAX];
    path_of(path, model, 'i', random_pair(model));
    model_lose_index(model);
    tell("cut", path);
    resize(path, (off_t)roll((uint64_t)size_of(path) + 1));
}

/* Of the last pair, by zeros or by anything. */
static void lengthen(struct model *model)
{
    char path[PATH_MAX];
    uint8_t bytes[BYTES_MORE] = {0};
    bool zeros = roll(2);
    for (size_t i = 0; i < sizeof bytes && !zeros; i++)
        bytes[i] = (uint8_t)roll(256);
    path_of(path, model, roll(2) ? 'd' : 'i', count_pairs(model) - 1);
    tell("lengthen", path);
    autoclose int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    size_t size = 1 + roll(sizeof bytes);
    assert_int_equal(write(fd, bytes, size), size);
}

/* --- indexes as they once were ---------------------------------------------------------------- */

struct past {
    struct peer_bytes index[PEER_FILES_MAX];
    unsigned n_pairs;
};
static struct past pasts[NAMESPACES];

static void forget_past(const struct model *model)
{
    struct past *past = &pasts[model - models];
    for (unsigned id = 0; id < past->n_pairs; id++)
        peer_bytes_free(&past->index[id]);
    past->n_pairs = 0;
}

static void remember_past(const struct model *model)
{
    char path[PATH_MAX];
    struct past *past = &pasts[model - models];
    unsigned n = count_pairs(model);
    forget_past(model);
    for (unsigned id = 0; id < n; id++) {
        path_of(path, model, 'i', id);
        assert_true(peer_file_read(path, &past->index[id]));
    }
    past->n_pairs = n;
}

/* As a power cut leaves them when nothing of them was written since; of ids the server promises
 * that of the last two pairs. */
static void put_past_back(struct model *model)
{
    char path[PATH_MAX];
    struct past *past = &pasts[model - models];
    unsigned n = count_pairs(model);
    if (past->n_pairs == 0 || n > PEER_FILES_MAX || (model->sequential && n > past->n_pairs + 1)) {
        remember_past(model);
        return;
    }
    tell("put past indexes back", model->name);
    model_lose_index(model);
    for (unsigned id = 0; id < n; id++) {
        path_of(path, model, 'i', id);
        if (id < past->n_pairs)
            assert_true(peer_file_write(path, &past->index[id]));
        else
            assert_int_equal(unlink(path), 0);
    }
    forget_past(model);
}

/* At any byte of its last entry; that which is told of there may be undone. */
static void cut_data(struct model *model)
{
    char path[PATH_MAX];
    struct peer_bytes bytes = {0};
    struct peer_data_entry entry, last = {0};
    uint32_t offset = PEER_DATA_HEADER;
    path_of(path, model, 'd', count_pairs(model) - 1);
    assert_true(peer_file_read(path, &bytes));
    while (peer_data_next(&bytes, &offset, &entry) == 1)
        last = entry;
    if (last.key_size > 0 && model_cut(model, last.key, last.key_size)) {
        tell("cut", path);
        resize(path, last.offset + (off_t)roll(bytes.size - last.offset));
    }
    peer_bytes_free(&bytes);
}

static void damage(struct model *model)
{
    static void (*const ways[])(struct model *) = {remove_indexes, cut_index, lengthen, cut_data,
                                                   put_past_back};
    bool has_mode = !model->sequential || model->n_ids > 0; /* an index alone says it else */
    if (has_mode && roll(3) > 0)
        ways[roll(array_length(ways))](model);
}

/* --- turns ----------------------------------------------------------------------------------- */

static void jump(struct model *model)
{
    ask(model->connection, "NSJUMP", "+OK");
}

static void reload(struct model *model)
{
    char request[64];
    (void)snprintf(request, sizeof request, "RELOAD %s", model->name);
    ask(9, request, "+OK");
}

static void ask_dirty(struct model *model)
{
    size_t size;
    ask(model->connection, "INDEX DIRTY", "");
    const uint8_t *reply = client_reply(on(model->connection), &size);
    assert_true(reply && reply[0] == '*');
    ask(model->connection, "INDEX DIRTY RESET", "+OK");
}

static void flush(struct model *model)
{
    forget_past(model);
    model_flush(model);
}

static void turn(struct model *model)
{
    static const struct {
        const char *name;
        void (*act)(struct model *model);
        unsigned share;
    } verbs[] = {
        {"set", model_set, 60},        {"delete", model_delete, 20},  {"jump", jump, 3},
        {"limit", model_set_limit, 2}, {"compact", model_compact, 2}, {"reload", reload, 2},
        {"compare", model_compare, 2}, {"dirty", ask_dirty, 1},       {"flush", flush, 1},
    };
    uint64_t shares = 0;
    if (model->n_ids > IDS_MOST)
        flush(model);
    for (size_t i = 0; i < array_length(verbs); i++)
        shares += verbs[i].share;
    uint64_t choice = roll(shares);
    size_t verb = 0;
    for (; choice >= verbs[verb].share; verb++)
        choice -= verbs[verb].share;
    tell(verbs[verb].name, model->name);
    verbs[verb].act(model);
}

static void what_was_answered_is_there(void)
{
    random_state = number_from_environment("STORAGED_TEST_SEED", SEED);
    unsigned long lives = number_from_environment("STORAGED_TEST_TURNS", LIVES);
    (void)fprintf(stderr, "STORAGED_TEST_SEED=%llu\n", (unsigned long long)random_state);
    server_start_with(&zdb, "--datasize", "512K", "--compact", "0");
    model_create(&models[0], "keys", 1, false, &random_state);
    model_create(&models[1], "ids", 2, true, &random_state);
    for (unsigned long life = 0; life < lives; life++) {
        for (unsigned i = 0; i < VERBS_A_LIFE; i++)
            turn(&models[roll(NAMESPACES)]);
        end();
        for (size_t i = 0; i < NAMESPACES; i++)
            damage(&models[i]);
        start();
        compare();
        end();
        start();
        compare();
    }
    hangup_all();
    server_stop(&zdb);
    for (size_t i = 0; i < NAMESPACES; i++)
        forget_past(&models[i]);
}

int main(int argc, char **argv)
{
    const struct zdb_case cases[] = {
        zdb_case(what_was_answered_is_there),
    };
    return zdb_main(argc, argv, "0-db, against a model", cases, array_length(cases));
}
