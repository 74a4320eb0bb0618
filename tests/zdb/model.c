/* Verbs as words, asked of the server and done to the model. */
#include "model_private.h"

#include "../integration/dice.h"
#include "script.h"

#include <stdlib.h>

enum { SMALL_MOST = 3, MIDDLE_MOST = 2000, IN_THE_AIR = 6, ID_SIZE = 8 };

/* --- keys and values ------------------------------------------------------------------------- */

/* Of any length but that of an id, by which an index that is lost is taken for that of ids. */
struct model_key model_key(const struct model *model, uint64_t number)
{
    static const uint8_t sizes[] = {1, 2, 3, 7, 9, 16, 100, 254, 255};
    struct model_key key = {.size = ID_SIZE};
    memcpy(key.at, &number, sizeof number);
    if (model->sequential)
        return key;
    key.size = sizes[number % sizeof sizes];
    for (size_t i = 0; i < key.size; i++)
        key.at[i] = (uint8_t)(number + i * (number % 3));
    return key;
}

uint64_t model_number(const struct model *model, const uint8_t *at, size_t size)
{
    uint64_t number = 0;
    if (size == 0 || (model->sequential && size != ID_SIZE))
        fail_msg("%s: a key of %zu bytes", model->name, size);
    memcpy(&number, at, model->sequential ? sizeof number : 1);
    const struct model_key key = model_key(model, number);
    if (number >= (model->sequential ? model->n_ids : MODEL_KEYS) || key.size != size ||
        memcmp(key.at, at, size) != 0)
        fail_msg("%s: a key that nobody has set", model->name);
    return number;
}

const uint8_t *model_payload(const struct model_value *value)
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

uint64_t model_count(const struct model *model)
{
    return model->sequential ? model->n_ids : MODEL_KEYS;
}

uint64_t model_count_live(const struct model *model, uint64_t *out_bytes)
{
    uint64_t n = 0;
    *out_bytes = 0;
    for (uint64_t i = 0; i < model_count(model); i++) {
        n += model->entries[i].now.lives;
        *out_bytes += model->entries[i].now.lives ? model->entries[i].now.size : 0;
    }
    return n;
}

/* One that lives, if there is any behind a random place; else a random one; SIZE_MAX for none. */
static uint64_t random_number(struct model *model, bool living)
{
    uint64_t n = model_count(model), from = n > 0 ? dice(model->random, n) : UINT64_MAX;
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

void model_must_answer(const struct model *model, const char *reply, const struct word *words)
{
    size_t size = 0;
    const uint8_t *got = client_reply(on(model->connection), &size);
    char what[64];
    (void)snprintf(what, sizeof what, "%s of %s", (const char *)words[0].at, model->name);
    reply_match(got, size, reply, what, __FILE__, __LINE__);
}

void model_send_words(struct model *model, const struct word *words, size_t n)
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
    (void)model_count_live(model, &bytes);
    return model->limit_bytes == 0 ||
           bytes + size <= model->limit_bytes + (old && old->lives ? old->size : 0);
}

static bool same_value(const struct model_value *a, const struct model_value *b)
{
    return a->lives == b->lives && a->size == b->size && a->seed == b->seed;
}

static void send_set(struct model *model, const struct model_key *key,
                     const struct model_value *value)
{
    char time[16];
    (void)snprintf(time, sizeof time, "%u", value->time);
    const struct word words[] = {word("SET"),
                                 {key ? key->at : (const uint8_t *)"", key ? key->size : 0},
                                 {model_payload(value), value->size},
                                 word(time)};
    model_send_words(model, words, array_length(words));
}

static void add_id(struct model *model)
{
    const struct word set = word("SET");
    struct model_value value = random_value(model);
    char reply[40] = "=";
    send_set(model, NULL, &value);
    if (!fits_limit(model, NULL, value.size)) {
        model_must_answer(model, "-No space left on this namespace", &set);
        return;
    }
    const struct model_key key = model_key(model, model->n_ids);
    for (size_t i = 0; i < key.size; i++)
        (void)snprintf(reply + 1 + 3 * i, 4, "%%%02x", key.at[i]);
    model_must_answer(model, reply, &set);
    assert_true(model->n_ids < MODEL_IDS);
    change(model, model->n_ids++, value);
}

static void set_number(struct model *model, uint64_t number)
{
    const struct word set = word("SET");
    const struct model_key key = model_key(model, number);
    struct model_value value = random_value(model), *now = &model->entries[number].now;
    if (now->lives && dice(model->random, 8) == 0) {
        value = *now;
        value.time++;
    }
    bool fits = fits_limit(model, now, value.size);
    send_set(model, &key, &value);
    if (!fits) {
        model_must_answer(model, "-No space left on this namespace", &set);
    } else if (model->sequential && !now->lives) {
        model_must_answer(model, "-Invalid key, only update authorized", &set);
    } else if (same_value(now, &value)) {
        model_must_answer(model, "nil", &set);
    } else {
        model_must_answer(model, "=~", &set);
        change(model, number, value);
        model->n_ids += model->sequential;
    }
}

void model_set(struct model *model)
{
    uint64_t bytes;
    if (model->sequential && model_count_live(model, &bytes) < MODEL_LIVE_IDS &&
        (model->n_ids == 0 || dice(model->random, 2)))
        add_id(model);
    else
        set_number(model, random_number(model, dice(model->random, 8) > 0));
}

static void send_delete(struct model *model, uint64_t number)
{
    const struct model_key key = model_key(model, number);
    const struct word words[] = {word("DEL"), {key.at, key.size}};
    model_send_words(model, words, array_length(words));
}

void model_delete(struct model *model)
{
    const struct word del = word("DEL");
    uint64_t number = random_number(model, dice(model->random, 8) > 0);
    if (number == UINT64_MAX)
        return;
    bool lives = model->entries[number].now.lives;
    send_delete(model, number);
    model_must_answer(model, lives ? "+OK" : "-Key not found", &del);
    if (lives)
        change(model, number, (struct model_value){0});
}

void model_set_limit(struct model *model)
{
    char text[24];
    uint64_t bytes;
    (void)model_count_live(model, &bytes);
    model->limit_bytes = dice(model->random, 2) ? 1 + dice(model->random, 2 * bytes + 1000) : 0;
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)model->limit_bytes);
    admin("NSSET", model->name, "maxsize", text);
}

void model_compact(struct model *model)
{
    model->compacts = true;
    for (uint64_t i = 0; i < model_count(model); i++)
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
        if (!entry || entry->is_open || entry->is_cut || (model->sequential && !entry->now.lives))
            continue;
        if (dice(model->random, 3) == 0 && entry->now.lives) {
            send_delete(model, number);
            change(model, number, (struct model_value){0});
        } else {
            const struct model_key key = model_key(model, number);
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

/* --- what is damaged -------------------------------------------------------------------------- */

bool model_cut(struct model *model, const uint8_t *key, size_t size)
{
    struct model_entry *entry = &model->entries[model_number(model, key, size)];
    for (uint64_t i = 0; i < model_count(model); i++)
        if (model->entries[i].is_open)
            return false; /* what is in the air may be the last entry, or not there at all */
    if (entry->is_cut)
        return false;
    return entry->is_open = entry->is_cut = true;
}

void model_lose_index(struct model *model)
{
    for (uint64_t i = 0; i < model_count(model); i++) {
        model->entries[i].is_open |= model->entries[i].is_cut;
        model->entries[i].may_lack = true;
    }
}
