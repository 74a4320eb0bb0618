/* Verbs as words, asked of the server and done to the model. */
#include "model.h"

#include "../integration/dice.h"
#include "script.h"

#include <stdlib.h>

enum { SMALL_MOST = 3, MIDDLE_MOST = 2000, IN_THE_AIR = 6, ID_SIZE = 8, CURSOR = 17 };

/* --- keys and values ------------------------------------------------------------------------- */

struct key {
    uint8_t at[255];
    size_t size;
};

/* Of any length but that of an id, by which an index that is lost is taken for that of ids. */
static struct key key_of(const struct model *model, uint64_t number)
{
    static const uint8_t sizes[] = {1, 2, 3, 7, 9, 16, 100, 254, 255};
    struct key key = {.size = ID_SIZE};
    memcpy(key.at, &number, sizeof number);
    if (model->sequential)
        return key;
    key.size = sizes[number % sizeof sizes];
    for (size_t i = 0; i < key.size; i++)
        key.at[i] = (uint8_t)(number + i * (number % 3));
    return key;
}

static uint64_t number_of(const struct model *model, const uint8_t *at, size_t size)
{
    uint64_t number = 0;
    if (size == 0 || (model->sequential && size != ID_SIZE))
        fail_msg("%s: a key of %zu bytes", model->name, size);
    memcpy(&number, at, model->sequential ? sizeof number : 1);
    const struct key key = key_of(model, number);
    if (number >= (model->sequential ? model->n_ids : MODEL_KEYS) || key.size != size ||
        memcmp(key.at, at, size) != 0)
        fail_msg("%s: a key that nobody has set", model->name);
    return number;
}

static const uint8_t *payload_of(const struct model_value *value)
{
    static uint8_t payload[MODEL_VALUE_MAX];
    for (uint32_t i = 0; i < value->size; i++)
        payload[i] = (uint8_t)(value->seed + i * (1U + value->seed) + (i >> 8));
    return payload;
}

static struct model_value random_value(struct model *model)
{
    struct model_value value = {.lives = true, .time = 1 + (uint32_t)dice(model->random, 1 << 30)};
    switch (dice(model->random, 8)) {
    case 0:
        value.size = 0;
        break;
    case 1:
    case 2:
    case 3:
        value.size = 1 + (uint32_t)dice(model->random, SMALL_MOST);
        value.seed = (uint8_t)dice(model->random, 2);
        break;
    case 4:
        value.size = MODEL_VALUE_MAX - (uint32_t)dice(model->random, 2);
        value.seed = (uint8_t)dice(model->random, 2);
        break;
    default:
        value.size = (uint32_t)dice(model->random, MIDDLE_MOST);
        value.seed = value.size == 0 ? 0 : (uint8_t)dice(model->random, 256);
        break;
    }
    return value;
}

static uint64_t n_numbers(const struct model *model)
{
    return model->sequential ? model->n_ids : MODEL_KEYS;
}

static uint64_t count_live(const struct model *model, uint64_t *out_bytes)
{
    uint64_t n = 0;
    *out_bytes = 0;
    for (uint64_t i = 0; i < n_numbers(model); i++) {
        n += model->entries[i].now.lives;
        *out_bytes += model->entries[i].now.lives ? model->entries[i].now.size : 0;
    }
    return n;
}

/* One that lives, if there is any behind a random place; else a random one; SIZE_MAX for none. */
static uint64_t random_number(struct model *model, bool living)
{
    uint64_t n = n_numbers(model), from = n > 0 ? dice(model->random, n) : UINT64_MAX;
    for (uint64_t i = from; living && i < n; i++)
        if (model->entries[i].now.lives)
            return i;
    return from;
}

static void change(struct model *model, uint64_t number, struct model_value value)
{
    struct model_entry *entry = &model->entries[number];
    entry->older = entry->was;
    entry->was = entry->now;
    entry->now = value;
    entry->is_cut = false;
    entry->may_lack = model->compacts;
}

/* --- questions ------------------------------------------------------------------------------- */

static void must_answer(const struct model *model, const char *reply, const struct word *words)
{
    size_t size = 0;
    const uint8_t *got = client_reply(on(model->connection), &size);
    char what[64];
    (void)snprintf(what, sizeof what, "%s of %s", (const char *)words[0].at, model->name);
    reply_match(got, size, reply, what, __FILE__, __LINE__);
}

static void send_words(struct model *model, const struct word *words, size_t n)
{
    assert_true(client_send_words(on(model->connection), words, n));
}

static void admin(const char *verb, const char *name, const char *property, const char *value)
{
    char request[256];
    (void)snprintf(request, sizeof request, "%s %s%s%s%s%s", verb, name, property ? " " : "",
                   property ? property : "", value ? " " : "", value ? value : "");
    ask(9, request, "+OK");
}

void model_enter(struct model *model)
{
    char request[256];
    hangup(model->connection);
    (void)snprintf(request, sizeof request, "SELECT %s %s", model->name, model->name);
    ask(model->connection, request, "+OK");
}

void model_create(struct model *model, const char *name, unsigned connection, bool sequential,
                  uint64_t *random)
{
    *model = (struct model){
        .name = name, .connection = connection, .sequential = sequential, .random = random};
    admin("NSNEW", name, NULL, NULL);
    admin("NSSET", name, "mode", sequential ? "seq" : "user");
    admin("NSSET", name, "public", "0");
    admin("NSSET", name, "password", name);
    model_enter(model);
}

/* --- verbs ----------------------------------------------------------------------------------- */

static bool fits_limit(const struct model *model, const struct model_value *old, uint32_t size)
{
    uint64_t bytes;
    (void)count_live(model, &bytes);
    return model->limit_bytes == 0 ||
           bytes + size <= model->limit_bytes + (old && old->lives ? old->size : 0);
}

static bool same_value(const struct model_value *a, const struct model_value *b)
{
    return a->lives == b->lives && a->size == b->size && a->seed == b->seed;
}

static void send_set(struct model *model, const struct key *key, const struct model_value *value)
{
    char time[16];
    (void)snprintf(time, sizeof time, "%u", value->time);
    const struct word words[] = {word("SET"),
                                 {key ? key->at : (const uint8_t *)"", key ? key->size : 0},
                                 {payload_of(value), value->size},
                                 word(time)};
    send_words(model, words, array_length(words));
}

static void add_id(struct model *model)
{
    const struct word set = word("SET");
    struct model_value value = random_value(model);
    char reply[40] = "=";
    send_set(model, NULL, &value);
    if (!fits_limit(model, NULL, value.size)) {
        must_answer(model, "-No space left on this namespace", &set);
        return;
    }
    const struct key key = key_of(model, model->n_ids);
    for (size_t i = 0; i < key.size; i++)
        (void)snprintf(reply + 1 + 3 * i, 4, "%%%02x", key.at[i]);
    must_answer(model, reply, &set);
    assert_true(model->n_ids < MODEL_IDS);
    change(model, model->n_ids++, value);
}

static void set_number(struct model *model, uint64_t number)
{
    const struct word set = word("SET");
    const struct key key = key_of(model, number);
    struct model_value value = random_value(model), *now = &model->entries[number].now;
    if (now->lives && dice(model->random, 8) == 0) {
        value = *now;
        value.time++;
    }
    bool fits = fits_limit(model, now, value.size);
    send_set(model, &key, &value);
    if (!fits) {
        must_answer(model, "-No space left on this namespace", &set);
    } else if (model->sequential && !now->lives) {
        must_answer(model, "-Invalid key, only update authorized", &set);
    } else if (same_value(now, &value)) {
        must_answer(model, "nil", &set);
    } else {
        must_answer(model, "=~", &set);
        change(model, number, value);
        model->n_ids += model->sequential;
    }
}

void model_set(struct model *model)
{
    uint64_t bytes;
    if (model->sequential && count_live(model, &bytes) < MODEL_LIVE_IDS &&
        (model->n_ids == 0 || dice(model->random, 2)))
        add_id(model);
    else
        set_number(model, random_number(model, dice(model->random, 8) > 0));
}

static void send_delete(struct model *model, uint64_t number)
{
    const struct key key = key_of(model, number);
    const struct word words[] = {word("DEL"), {key.at, key.size}};
    send_words(model, words, array_length(words));
}

void model_delete(struct model *model)
{
    const struct word del = word("DEL");
    uint64_t number = random_number(model, dice(model->random, 8) > 0);
    if (number == UINT64_MAX)
        return;
    bool lives = model->entries[number].now.lives;
    send_delete(model, number);
    must_answer(model, lives ? "+OK" : "-Key not found", &del);
    if (lives)
        change(model, number, (struct model_value){0});
}

void model_set_limit(struct model *model)
{
    char text[24];
    uint64_t bytes;
    (void)count_live(model, &bytes);
    model->limit_bytes = dice(model->random, 2) ? 1 + dice(model->random, 2 * bytes + 1000) : 0;
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)model->limit_bytes);
    admin("NSSET", model->name, "maxsize", text);
}

void model_compact(struct model *model)
{
    model->compacts = true;
    for (uint64_t i = 0; i < n_numbers(model); i++)
        model->entries[i].may_lack = true;
    ask(model->connection, "COMPACT", "+OK");
}

void model_flush(struct model *model)
{
    ask(model->connection, "FLUSH", "+OK");
    memset(model->entries, 0, sizeof model->entries);
    model->n_ids = 0;
}

/* New ids are not among them: the answer alone says which it is. */
void model_send(struct model *model)
{
    for (unsigned i = 0; i < IN_THE_AIR; i++) {
        uint64_t number = random_number(model, true);
        struct model_entry *entry = number == UINT64_MAX ? NULL : &model->entries[number];
        if (!entry || entry->is_open || (model->sequential && !entry->now.lives))
            continue;
        if (dice(model->random, 3) == 0 && entry->now.lives) {
            send_delete(model, number);
            change(model, number, (struct model_value){0});
        } else {
            const struct key key = key_of(model, number);
            struct model_value value = random_value(model);
            if (same_value(&value, &entry->now))
                continue;
            send_set(model, &key, &value);
            change(model, number, value);
            model->n_in_the_air += model->sequential;
        }
        entry->is_open = true;
        entry->may_lack = false; /* what was is there unless the change is */
    }
}

/* --- comparing ------------------------------------------------------------------------------- */

bool model_cut(struct model *model, const uint8_t *key, size_t size)
{
    struct model_entry *entry = &model->entries[number_of(model, key, size)];
    for (uint64_t i = 0; i < n_numbers(model); i++)
        if (model->entries[i].is_open)
            return false; /* what is in the air may be the last entry, or not there at all */
    if (entry->is_cut)
        return false;
    return entry->is_open = entry->is_cut = true;
}

void model_lose_index(struct model *model)
{
    for (uint64_t i = 0; i < n_numbers(model); i++)
        if (model->entries[i].is_cut)
            model->entries[i].is_open = true;
}

/* It is as it was; if its change was cut off, the other way is still open. */
static void go_back(struct model_entry *entry)
{
    struct model_value now = entry->now;
    entry->now = entry->was;
    entry->was = entry->is_cut ? now : entry->older;
}

static bool get_value(struct model *model, const struct key *key, uint8_t *out, size_t *out_size)
{
    const struct word words[] = {word("GET"), {key->at, key->size}};
    size_t size = 0;
    send_words(model, words, array_length(words));
    const uint8_t *reply = client_reply(on(model->connection), &size);
    if (size == 5 && memcmp(reply, "$-1\r\n", 5) == 0)
        return false;
    if (size == 0 || reply[0] != '$')
        fail_msg("%s: GET answers %.*s", model->name, (int)size, (const char *)reply);
    const uint8_t *at = (const uint8_t *)memchr(reply, '\n', size) + 1;
    *out_size = size - (size_t)(at - reply) - 2;
    assert_true(*out_size <= MODEL_VALUE_MAX);
    memcpy(out, at, *out_size);
    return true;
}

static bool has_value(const struct model_value *value, bool lives, const uint8_t *at, size_t size)
{
    if (!value->lives || !lives)
        return value->lives == lives;
    return value->size == size && (size == 0 || memcmp(payload_of(value), at, size) == 0);
}

static void compare_value(struct model *model, uint64_t number)
{
    static uint8_t got[MODEL_VALUE_MAX];
    struct model_entry *entry = &model->entries[number];
    const struct key key = key_of(model, number);
    size_t size = 0;
    bool lives = get_value(model, &key, got, &size);
    bool is_now = has_value(&entry->now, lives, got, size);
    if (!is_now && !entry->is_open)
        fail_msg("%s: key %llu has %s of %zu bytes, not %s of %u", model->name,
                 (unsigned long long)number, lives ? "a value" : "none", size,
                 entry->now.lives ? "one" : "none", entry->now.size);
    if (!is_now && !lives && entry->may_lack)
        entry->now = (struct model_value){0};
    else if (!is_now) {
        if (!has_value(&entry->was, lives, got, size))
            fail_msg("%s: key %llu has neither its new value nor its old one (%s of %zu bytes)",
                     model->name, (unsigned long long)number, lives ? "one" : "none", size);
        go_back(entry);
    }
    entry->is_open = false;
}

static void compare_facts(struct model *model, uint64_t number)
{
    static const char *const verbs[] = {"EXISTS", "LENGTH", "KEYTIME", "CHECK"};
    const struct model_value *now = &model->entries[number].now;
    const uint32_t facts[] = {now->lives, now->size, now->time, 1};
    const struct key key = key_of(model, number);
    for (size_t i = 0; i < array_length(verbs); i++) {
        char reply[16] = "nil";
        const struct word words[] = {word(verbs[i]), {key.at, key.size}};
        if (now->lives || i == 0)
            (void)snprintf(reply, sizeof reply, ":%u", facts[i]);
        send_words(model, words, array_length(words));
        must_answer(model, reply, words);
    }
}

static void compare_sums(struct model *model)
{
    char request[160], text[80];
    uint64_t bytes, n = count_live(model, &bytes);
    (void)snprintf(request, sizeof request, "NSINFO %s", model->name);
    autofree char *info = ask_bulk(model->connection, request, NULL);
    const char *next = strstr(info, "next_internal_id: 0x");
    (void)snprintf(text, sizeof text, "\nentries: %llu\n", (unsigned long long)n);
    if (!strstr(info, text))
        fail_msg("%s has not %llu entries: %s", model->name, (unsigned long long)n, info);
    (void)snprintf(text, sizeof text, "\ndata_size_bytes: %llu\n", (unsigned long long)bytes);
    if (!strstr(info, text))
        fail_msg("%s has not %llu bytes: %s", model->name, (unsigned long long)bytes, info);
    (void)snprintf(text, sizeof text, "\ndata_limits_bytes: %llu\n",
                   (unsigned long long)model->limit_bytes);
    assert_non_null(strstr(info, text));
    if (!model->sequential)
        return;
    assert_non_null(next);
    uint64_t id = __builtin_bswap64(strtoull(next + strlen("next_internal_id: "), NULL, 16));
    if (id < model->n_ids || id > model->n_ids + model->n_in_the_air)
        fail_msg("%s gives the id %llu next, not %llu", model->name, (unsigned long long)id,
                 (unsigned long long)model->n_ids);
    model->n_ids = id;
    model->n_in_the_air = 0;
}

/* The entries of one answer; the cursor moves to the last. The number of those that were new. */
static size_t take_part(struct model *model, const uint8_t *reply, size_t size, bool *seen)
{
    const uint8_t *end = reply + size, *at = memchr(reply, '*', size);
    at = reply + strlen("*2\r\n$17\r\n") + CURSOR + 2;
    size_t n = strtoul((const char *)at + 1, NULL, 10);
    at = (const uint8_t *)memchr(at, '\n', (size_t)(end - at)) + 1;
    for (size_t i = 0; i < n; i++) {
        char facts[40];
        size_t key_size = strtoul((const char *)at + strlen("*3\r\n$"), NULL, 10);
        at = (const uint8_t *)memchr(at + 5, '\n', (size_t)(end - at - 5)) + 1;
        uint64_t number = number_of(model, at, key_size);
        const struct model_value *now = &model->entries[number].now;
        at += key_size;
        int length = snprintf(facts, sizeof facts, "\r\n:%u\r\n:%u\r\n", now->size, now->time);
        if (!now->lives || seen[number] || memcmp(at, facts, (size_t)length) != 0)
            fail_msg("%s: a scan has key %llu, which %s", model->name, (unsigned long long)number,
                     seen[number] ? "it had"
                     : now->lives ? "is another"
                                  : "is deleted");
        seen[number] = true;
        at += length;
    }
    assert_ptr_equal(at, end);
    return n;
}

static void compare_scan(struct model *model, const char *verb)
{
    bool *seen = calloc(MODEL_IDS, sizeof *seen);
    uint8_t cursor[CURSOR];
    uint64_t bytes, n = 0, expected = count_live(model, &bytes);
    struct word words[] = {word(verb), {cursor, sizeof cursor}};
    assert_non_null(seen);
    for (size_t n_words = 1;; n_words = 2) {
        size_t size = 0;
        send_words(model, words, n_words);
        const uint8_t *reply = client_reply(on(model->connection), &size);
        if (reply_fits(reply, size, "-No more data"))
            break;
        if (size < 9 + CURSOR || memcmp(reply, "*2\r\n$17\r\n", 9) != 0)
            fail_msg("%s: %s answers %.*s", model->name, verb, (int)size, (const char *)reply);
        memcpy(cursor, reply + 9, sizeof cursor);
        n += take_part(model, reply, size, seen);
    }
    free(seen);
    if (n != expected)
        fail_msg("%s: %s has %llu keys, not %llu", model->name, verb, (unsigned long long)n,
                 (unsigned long long)expected);
}

void model_compare(struct model *model)
{
    static const uint64_t dead_most = 20;
    for (uint64_t i = 0; i < n_numbers(model); i++)
        if (model->entries[i].now.lives || model->entries[i].is_open || !model->sequential ||
            dice(model->random, 1 + n_numbers(model) / dead_most) == 0) {
            compare_value(model, i);
            compare_facts(model, i);
        }
    compare_sums(model);
    compare_scan(model, "SCAN");
    compare_scan(model, "RSCAN");
}
