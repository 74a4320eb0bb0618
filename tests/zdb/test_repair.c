/*
 * Files that a power cut or a bad disk left: torn at every byte of their last entries, with any
 * byte flipped, empty, missing. Each case is a namespace of its own, many to a server, so that one
 * start covers them and none may hurt the others.
 */
#include "script.h"

#include <stdlib.h>

enum { BATCH = 100 };

static char path_of[PATH_MAX];

static const char *file_path(char letter, const char *ns, uint32_t id)
{
    (void)snprintf(path_of, sizeof path_of, "%s/%s/%c%u", letter == 'd' ? zdb.data : zdb.index, ns,
                   letter, id);
    return path_of;
}

/* --- what every case starts from ------------------------------------------------------------- */

/* "a" lives in file 0 and was overwritten there; "c" was overwritten in file 1, by its last entry,
 * and "d" is the one before it. */
static void make_user(struct peer_ns *ns)
{
    peer_ns_init(ns, "model", PEER_USER, PEER_EMBEDDED);
    peer_set(ns, peer_key("a"), "one", 3, 1);
    peer_set(ns, peer_key("b"), "two", 3, 2);
    peer_set(ns, peer_key("a"), "three", 5, 3);
    peer_rotate(ns);
    peer_set(ns, peer_key("c"), "four", 4, 4);
    peer_set(ns, peer_key("d"), "five", 4, 5);
    peer_set(ns, peer_key("c"), "six", 3, 6);
}

static void make_seq(struct peer_ns *ns)
{
    peer_ns_init(ns, "model", PEER_SEQ, PEER_EMBEDDED);
    (void)peer_seq_add(ns, "one", 3, 1);
    (void)peer_seq_add(ns, "two", 3, 2);
    peer_seq_update(ns, 0, "three", 5, 3); /* takes 2 */
    peer_rotate(ns);
    (void)peer_seq_add(ns, "four", 4, 4);
    (void)peer_seq_add(ns, "five", 4, 5);
    (void)peer_seq_add(ns, "six", 3, 6);
}

struct expectation {
    struct peer_key key;
    const char *value, *older; /* older: what it was before its last entry, or NULL */
    bool in_last_entries;      /* of the data file that is cut */
};

static const struct expectation user_expected[] = {
    {{"a", 1}, "three", "one", false},
    {{"b", 1}, "two", NULL, false},
    {{"c", 1}, "six", "four", true},
    {{"d", 1}, "five", NULL, true},
};

static struct expectation seq_expected[5];

static void fill_seq_expected(void)
{
    static const uint8_t ids[5][8] = {{0}, {1}, {3}, {4}, {5}};
    static const struct expectation values[] = {
        {{0}, "three", "one", false}, {{0}, "two", NULL, false}, {{0}, "four", NULL, false},
        {{0}, "five", NULL, true},    {{0}, "six", NULL, true},
    };
    for (size_t i = 0; i < 5; i++) {
        seq_expected[i] = values[i];
        seq_expected[i].key = (struct peer_key){ids[i], 8};
    }
}

/* --- asking ---------------------------------------------------------------------------------- */

static const uint8_t *request(const struct word *words, size_t n, size_t *out_size)
{
    assert_true(client_send_words(on(1), words, n));
    const uint8_t *reply = client_reply(on(1), out_size);
    if (!reply) {
        server_print_log(&zdb);
        fail_msg("the connection ended at %s", (const char *)words[0].at);
    }
    return reply;
}

static bool select_ns(const char *name)
{
    size_t size;
    const struct word words[] = {word("SELECT"), word(name)};
    return request(words, 2, &size)[0] == '+';
}

static bool is_bulk(const uint8_t *reply, size_t size, const char *value)
{
    char expected[128];
    int length = snprintf(expected, sizeof expected, "$%zu\r\n%s\r\n", strlen(value), value);
    return size == (size_t)length && memcmp(reply, expected, size) == 0;
}

static void wrong(const char *ns, const struct expectation *e, const uint8_t *reply, size_t size)
{
    server_print_log(&zdb);
    fail_msg("%s: the key of \"%s\" has: %.*s", ns, e->value, (int)size, (const char *)reply);
}

/* May it be without its value; then it may have the one before, an error, or nothing. */
static void check_value(const char *ns, const struct expectation *e, bool may_lack, bool may_be_old)
{
    size_t size;
    const struct word words[] = {word("GET"), {e->key.at, e->key.size}};
    const uint8_t *reply = request(words, 2, &size);
    if (is_bulk(reply, size, e->value))
        return;
    bool old = e->older && is_bulk(reply, size, e->older);
    bool nothing = reply[0] == '-' || (size == 5 && memcmp(reply, "$-1\r\n", 5) == 0);
    if (!(may_lack && (nothing || (old && may_be_old))))
        wrong(ns, e, reply, size);
}

/* --- cuts ------------------------------------------------------------------------------------ */

struct kind {
    enum peer_mode mode;
    const struct expectation *expected;
    size_t n_expected;
};

static void make_model(const struct kind *kind, struct peer_ns *ns)
{
    (kind->mode == PEER_USER ? make_user : make_seq)(ns);
}

static void name_case(struct peer_ns *ns, char letter, size_t at)
{
    (void)snprintf(ns->name, sizeof ns->name, "%c-%zu", letter, at);
}

/* Where the last two entries of a file begin. */
static size_t last_two(const struct peer_bytes *file, char letter)
{
    uint32_t starts[8], offset = letter == 'd' ? PEER_DATA_HEADER : PEER_INDEX_HEADER;
    size_t n = 0;
    for (;; n++) {
        struct peer_data_entry data;
        struct peer_index_entry index;
        uint32_t start = offset;
        if ((letter == 'd' ? peer_data_next(file, &offset, &data)
                           : peer_index_next(file, &offset, &index)) != 1)
            break;
        starts[n] = start;
    }
    return starts[n - 2];
}

static void save_cuts(struct peer_ns *ns, char letter)
{
    struct peer_bytes *file = letter == 'd' ? &ns->data[1] : &ns->index[1];
    size_t whole = file->size;
    for (size_t at = last_two(file, letter); at < whole; at++) {
        name_case(ns, letter, at);
        file->size = at;
        assert_true(peer_save(ns, zdb.index, zdb.data));
        file->size = whole;
    }
}

/* What was torn is appended to as if it never were. */
static void write_more(const char *ns, const struct kind *kind)
{
    size_t size;
    const struct word new_key[] = {word("SET"), word(kind->mode == PEER_USER ? "new" : ""),
                                   word("new value")};
    const uint8_t *reply = request(new_key, 3, &size);
    if (reply[0] != '$')
        fail_msg("%s: SET: %.*s", ns, (int)size, (const char *)reply);
    const struct expectation *first = &kind->expected[0];
    const struct word again[] = {word("SET"), {first->key.at, first->key.size}, word("again")};
    reply = request(again, 3, &size);
    if (reply[0] != '$')
        fail_msg("%s: SET: %.*s", ns, (int)size, (const char *)reply);
}

static void check_more(const char *ns, const struct kind *kind)
{
    struct expectation first = kind->expected[0];
    first.value = "again";
    check_value(ns, &first, false, false);
    if (kind->mode == PEER_USER)
        check_value(ns, &(struct expectation){{"new", 3}, "new value", NULL, false}, false, false);
}

static void check_files(const char *name)
{
    struct peer_ns back;
    server_read_back(&zdb, name, &back);
    peer_ns_free(&back);
}

static void cuts(const struct kind *kind, char letter)
{
    struct peer_ns ns = {0};
    make_model(kind, &ns);
    const struct peer_bytes *file = letter == 'd' ? &ns.data[1] : &ns.index[1];
    size_t begin = last_two(file, letter), end = file->size;
    save_cuts(&ns, letter);
    for (unsigned life = 0; life < 3; life++) {
        server_start(&zdb, NULL);
        for (size_t at = begin; at < end; at++) {
            name_case(&ns, letter, at);
            if (!select_ns(ns.name))
                fail_msg("%s is not served", ns.name);
            if (life > 0)
                check_more(ns.name, kind);
            for (size_t i = life > 0; i < kind->n_expected; i++)
                check_value(ns.name, &kind->expected[i],
                            letter == 'd' && kind->expected[i].in_last_entries, true);
            if (life == 0)
                write_more(ns.name, kind);
        }
        hangup_all();
        if (life == 0)
            server_kill(&zdb);
        else
            server_stop(&zdb);
    }
    for (size_t at = begin; at < end; at++) {
        name_case(&ns, letter, at);
        check_files(ns.name);
    }
    peer_ns_free(&ns);
}

static const struct kind user_kind = {PEER_USER, user_expected, array_length(user_expected)};
static const struct kind seq_kind = {PEER_SEQ, seq_expected, array_length(seq_expected)};

static void a_torn_index_loses_no_user_key(void)
{
    cuts(&user_kind, 'i');
}

static void torn_data_loses_but_the_torn_user_keys(void)
{
    cuts(&user_kind, 'd');
}

static void a_torn_index_loses_no_id(void)
{
    fill_seq_expected();
    cuts(&seq_kind, 'i');
}

static void torn_data_loses_but_the_torn_ids(void)
{
    fill_seq_expected();
    cuts(&seq_kind, 'd');
}

/* --- flips ----------------------------------------------------------------------------------- */

struct flip {
    char letter;
    uint32_t file;
    size_t at;
};

static size_t collect_flips(const struct peer_ns *ns, struct flip *out)
{
    size_t n = 0;
    for (uint32_t file = 0; file < ns->n_files; file++) {
        for (size_t at = 0; at < ns->data[file].size; at++)
            out[n++] = (struct flip){'d', file, at};
        for (size_t at = 0; at < ns->index[file].size; at++)
            out[n++] = (struct flip){'i', file, at};
    }
    return n;
}

static void flip_name(struct peer_ns *ns, const struct flip *flip)
{
    (void)snprintf(ns->name, sizeof ns->name, "%c%u-%zu", flip->letter, flip->file, flip->at);
}

static void flip_save(struct peer_ns *ns, const struct flip *flip, uint8_t mask)
{
    struct peer_bytes *file = flip->letter == 'd' ? &ns->data[flip->file] : &ns->index[flip->file];
    flip_name(ns, flip);
    file->at[flip->at] ^= mask;
    assert_true(peer_save(ns, zdb.index, zdb.data));
    file->at[flip->at] ^= mask;
}

static void delete_ns(const char *name)
{
    size_t size;
    const struct word words[] = {word("NSDEL"), word(name)};
    (void)request(words, 2, &size);
}

/* The key whose entry the byte is in; false for a header. */
static bool flip_owner(const struct peer_ns *ns, const struct flip *flip, struct peer_key *out)
{
    struct peer_data_entry data;
    struct peer_index_entry index;
    uint32_t offset = flip->letter == 'd' ? PEER_DATA_HEADER : PEER_INDEX_HEADER;
    if (flip->at < offset)
        return false;
    while (offset <= flip->at)
        assert_int_equal(flip->letter == 'd'
                             ? peer_data_next(&ns->data[flip->file], &offset, &data)
                             : peer_index_next(&ns->index[flip->file], &offset, &index),
                         1);
    *out = flip->letter == 'd' ? (struct peer_key){data.key, data.key_size}
                               : (struct peer_key){index.key, index.key_size};
    return true;
}

/* The key that was hit has its value, or an error, or nothing: never another value. All others have
 * theirs. */
static void check_flip(const struct peer_ns *ns, const struct kind *kind, const struct flip *flip)
{
    struct peer_key owner = {0};
    bool owned = flip_owner(ns, flip, &owner);
    if (!select_ns(ns->name)) {
        server_print_log(&zdb);
        fail_msg("%s is not served", ns->name);
    }
    for (size_t k = 0; k < kind->n_expected; k++) {
        struct peer_key key = kind->expected[k].key;
        bool hit = owned && key.size == owner.size && memcmp(key.at, owner.at, key.size) == 0;
        check_value(ns->name, &kind->expected[k], hit, false);
    }
}

static void flips(const struct kind *kind, uint8_t mask)
{
    static struct flip all[2048];
    struct peer_ns ns = {0};
    make_model(kind, &ns);
    size_t n = collect_flips(&ns, all);
    for (size_t from = 0; from < n; from += BATCH) {
        size_t to = from + BATCH < n ? from + BATCH : n;
        for (size_t i = from; i < to; i++)
            flip_save(&ns, &all[i], mask);
        server_start(&zdb, NULL);
        ask(2, "PING", "+PONG");
        for (size_t i = from; i < to; i++) {
            flip_name(&ns, &all[i]);
            check_flip(&ns, kind, &all[i]);
        }
        assert_true(select_ns("default"));
        for (size_t i = from; i < to; i++) {
            flip_name(&ns, &all[i]);
            delete_ns(ns.name);
        }
        ask(2, "SET key value", from == 0 ? "=key" : "nil");
        hangup_all();
        server_stop(&zdb);
    }
    peer_ns_free(&ns);
}

static void a_flipped_bit_serves_no_wrong_user_value(void)
{
    flips(&user_kind, 0x01);
}

static void a_flipped_bit_serves_no_wrong_value_of_an_id(void)
{
    fill_seq_expected();
    flips(&seq_kind, 0x40);
}

/* While it runs: what was right at the start may turn wrong under it. */
static void a_payload_that_turns_wrong_is_not_served(void)
{
    struct peer_bytes file = {0};
    server_start(&zdb, NULL);
    ask(1, "SET key value", "=key");
    ask(1, "GET key", "=value");
    assert_true(peer_file_read(file_path('d', "default", 0), &file));
    assert_int_equal(file.size, PEER_DATA_HEADER + PEER_DATA_ENTRY + 8);
    file.at[file.size - 1] ^= 1;
    FILE *data = fopen(file_path('d', "default", 0), "r+e"); /* in place: it is open there */
    assert_non_null(data);
    assert_int_equal(fwrite(file.at, 1, file.size, data), file.size);
    assert_int_equal(fclose(data), 0);
    peer_bytes_free(&file);
    ask(1, "GET key", "-Internal Error");
    ask(1, "CHECK key", ":0");
    ask(1, "MGET key", "*1|-Internal Error");
    ask(1, "EXISTS key", ":1");
    ask(1, "SET key other", "=key");
    ask(1, "GET key", "=other");
}

/* --- whole files ----------------------------------------------------------------------------- */

static void empty_and_short_files_stop_nobody(void)
{
    static const char letters[] = {'i', 'd'};
    struct peer_ns ns;
    make_user(&ns);
    const struct peer_bytes nothing = {0};
    const struct peer_bytes some = {.at = (uint8_t *)(uintptr_t) "IDX0", .size = 4};
    for (unsigned letter = 0; letter < 2; letter++)
        for (uint32_t id = 0; id < 2; id++)
            for (unsigned part = 0; part < 3; part++) {
                (void)snprintf(ns.name, sizeof ns.name, "%c%u-%u", letters[letter], id, part);
                assert_true(peer_save(&ns, zdb.index, zdb.data));
                if (part < 2)
                    assert_true(peer_file_write(file_path(letters[letter], ns.name, id),
                                                part ? &some : &nothing));
                else
                    assert_int_equal(unlink(file_path(letters[letter], ns.name, id)), 0);
            }
    for (unsigned life = 0; life < 2; life++) {
        server_start(&zdb, NULL);
        for (unsigned letter = 0; letter < 2; letter++)
            for (uint32_t id = 0; id < 2; id++)
                for (unsigned part = 0; part < 3; part++) {
                    (void)snprintf(ns.name, sizeof ns.name, "%c%u-%u", letters[letter], id, part);
                    bool served = select_ns(ns.name);
                    if (!served && letters[letter] == 'd')
                        continue;
                    for (size_t k = 0; served && k < user_kind.n_expected; k++)
                        check_value(ns.name, &user_expected[k], letters[letter] == 'd', true);
                    if (!served)
                        fail_msg("%s is not served, though its data is whole", ns.name);
                }
        assert_true(select_ns("default"));
        ask(1, "SET key value", life == 0 ? "=key" : "nil");
        hangup_all();
        server_stop(&zdb);
    }
    peer_ns_free(&ns);
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(a_torn_index_loses_no_user_key),
        zdb_case(torn_data_loses_but_the_torn_user_keys),
        zdb_case(a_torn_index_loses_no_id),
        zdb_case(torn_data_loses_but_the_torn_ids),
        zdb_case(a_flipped_bit_serves_no_wrong_user_value),
        zdb_case(a_flipped_bit_serves_no_wrong_value_of_an_id),
        zdb_case(a_payload_that_turns_wrong_is_not_served),
        zdb_case(empty_and_short_files_stop_nobody),
    };
    return zdb_main(argc, argv, "zdb_repair", cases, array_length(cases));
}
