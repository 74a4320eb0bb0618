/* One list of changes, done twice. */
#include "twin.h"

#include "script.h"

#include <stdlib.h>

void twin_payload(uint8_t *out, uint32_t size, uint32_t seed)
{
    uint32_t state = seed * 2654435761u + 1;
    for (uint32_t i = 0; i < size; i++) {
        state = state * 1664525u + 1013904223u;
        out[i] = (uint8_t)(state >> 24);
    }
}

static struct peer_key change_key(const struct twin *twin, uint64_t id, uint8_t text[24])
{
    if (twin->ns.mode == PEER_USER)
        return (struct peer_key){text, (uint8_t)snprintf((char *)text, 24, "k%ju", (uintmax_t)id)};
    for (unsigned i = 0; i < PEER_SEQ_KEY; i++)
        text[i] = (uint8_t)(id >> (8 * i));
    return (struct peer_key){text, id == UINT64_MAX ? 0 : PEER_SEQ_KEY};
}

static void remember(struct twin *twin, struct change change)
{
    assert_true(twin->n_changes < TWIN_CHANGES_MAX);
    twin->changes[twin->n_changes++] = change;
}

/* --- the server's side ----------------------------------------------------------------------- */

void twin_set(struct twin *twin, unsigned number, uint64_t id, uint32_t size, uint32_t seed)
{
    uint8_t text[24];
    size_t got;
    uint8_t *payload = malloc(size + 1);
    assert_non_null(payload);
    twin_payload(payload, size, seed);
    struct peer_key key = change_key(twin, id, text);
    const struct word words[] = {word("SET"), {key.at, key.size}, {payload, size}};
    assert_true(client_send_words(on(number), words, 3));
    free(payload);
    const uint8_t *reply = client_reply(on(number), &got);
    if (got == 5 && memcmp(reply, "$-1\r\n", 5) == 0)
        return;
    size_t key_size = key.size ? key.size : PEER_SEQ_KEY;
    if (got != key_size + 6 || (key.size > 0 && memcmp(reply + 4, key.at, key.size) != 0))
        reply_match(reply, got, "=the key", "SET", __FILE__, __LINE__);
    remember(twin, (struct change){CHANGE_SET, id, size, seed});
}

void twin_delete(struct twin *twin, unsigned number, uint64_t id)
{
    uint8_t text[24];
    size_t got;
    struct peer_key key = change_key(twin, id, text);
    const struct word words[] = {word("DEL"), {key.at, key.size}};
    assert_true(client_send_words(on(number), words, 2));
    const uint8_t *reply = client_reply(on(number), &got);
    static const char missing[] = "-Key not found\r\n";
    if (got == strlen(missing) && memcmp(reply, missing, got) == 0)
        return;
    reply_match(reply, got, "+OK", "DEL", __FILE__, __LINE__);
    remember(twin, (struct change){.kind = CHANGE_DELETE, .id = id});
}

void twin_jump(struct twin *twin, unsigned number)
{
    ask(number, "NSJUMP", "+OK");
    remember(twin, (struct change){.kind = CHANGE_JUMP});
}

void twin_random(struct twin *twin, unsigned number, unsigned n, uint32_t max_size, uint32_t seed)
{
    uint64_t n_ids = 0;
    for (size_t i = 0; i < twin->n_changes; i++)
        n_ids += twin->changes[i].kind == CHANGE_SET;
    uint32_t state = seed;
    for (unsigned i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        uint32_t dice = state >> 16;
        uint64_t id = dice % 40;
        bool seq = twin->ns.mode == PEER_SEQ;
        if (seq && (n_ids == 0 || dice % 8 < 4)) {
            twin_set(twin, number, UINT64_MAX, dice % max_size, dice);
            n_ids++;
        } else if (dice % 8 == 7) {
            twin_delete(twin, number, seq ? id % n_ids : id);
        } else if (!seq) {
            twin_set(twin, number, id, dice % max_size, dice % 64);
        } else {
            uint8_t text[24];
            struct peer_key key = change_key(twin, id % n_ids, text);
            const struct word words[] = {word("EXISTS"), {key.at, key.size}};
            size_t size;
            assert_true(client_send_words(on(number), words, 2));
            bool lives = client_reply(on(number), &size)[1] == '1';
            if (!lives)
                continue;
            twin_set(twin, number, id % n_ids, dice % max_size, dice);
            n_ids++; /* an update takes one */
        }
    }
}

/* --- the twin's side ------------------------------------------------------------------------- */

static void apply(struct twin *twin, const struct change *change, uint32_t time)
{
    uint8_t text[24];
    struct peer_key key = change_key(twin, change->id, text);
    struct peer_ns *ns = &twin->ns;
    if (change->kind == CHANGE_DELETE) {
        peer_delete(ns, key, time);
        return;
    }
    uint8_t *payload = malloc(change->size + 1);
    assert_non_null(payload);
    twin_payload(payload, change->size, change->seed);
    if (ns->data[ns->n_files - 1].size + change->size > twin->datasize)
        peer_rotate(ns);
    if (ns->mode == PEER_USER)
        peer_set(ns, key, payload, change->size, time);
    else if (change->id == UINT64_MAX)
        (void)peer_seq_add(ns, payload, change->size, time);
    else
        peer_seq_update(ns, change->id, payload, change->size, time);
    free(payload);
}

/* All data entries of the server's in one row. */
struct walk {
    const struct peer_ns *ns;
    uint32_t file, offset;
};

static bool walk_next(struct walk *walk, struct peer_data_entry *out)
{
    while (walk->file < walk->ns->n_files) {
        if (peer_data_next(&walk->ns->data[walk->file], &walk->offset, out) == 1)
            return true;
        walk->file++;
        walk->offset = PEER_DATA_HEADER;
    }
    return false;
}

static void compare_file(const char *name, char letter, uint32_t id,
                         const struct peer_bytes *server, const struct peer_bytes *twin)
{
    size_t size = server->size < twin->size ? server->size : twin->size;
    for (size_t i = 0; i < size; i++)
        if (server->at[i] != twin->at[i])
            fail_msg("%s/%c%u @%zu: %02x, not %02x", name, letter, id, i, server->at[i],
                     twin->at[i]);
    if (server->size != twin->size)
        fail_msg("%s/%c%u: %zu bytes, not %zu", name, letter, id, server->size, twin->size);
}

void twin_compare(struct twin *twin, const struct server *server)
{
    struct peer_ns theirs;
    struct peer_data_entry entry;
    server_read_back(server, twin->ns.name, &theirs);
    struct walk walk = {.ns = &theirs, .offset = PEER_DATA_HEADER};
    struct walk known = {.ns = &twin->ns, .offset = PEER_DATA_HEADER};
    while (walk_next(&known, &entry)) /* what was there before the first change */
        assert_true(walk_next(&walk, &entry));
    for (size_t i = 0; i < twin->n_changes; i++) {
        if (twin->changes[i].kind == CHANGE_JUMP) {
            peer_rotate(&twin->ns);
            continue;
        }
        if (!walk_next(&walk, &entry))
            fail_msg("change %zu of %zu left no entry", i, twin->n_changes);
        apply(twin, &twin->changes[i], entry.time);
    }
    if (walk_next(&walk, &entry))
        fail_msg("d%u @%u: an entry of no change", walk.file, entry.offset);
    assert_int_equal(theirs.n_files, twin->ns.n_files);
    for (uint32_t i = 0; i < theirs.n_files; i++) {
        compare_file(theirs.name, 'd', i, &theirs.data[i], &twin->ns.data[i]);
        compare_file(theirs.name, 'i', i, &theirs.index[i], &twin->ns.index[i]);
    }
    peer_ns_free(&theirs);
    twin->n_changes = 0;
}

void twin_free(struct twin *twin)
{
    peer_ns_free(&twin->ns);
}
