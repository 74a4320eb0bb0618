/* What the server tells of each key, of their sum, and when it walks through them. */
#include "../integration/dice.h"
#include "model_private.h"
#include "script.h"

#include <stdlib.h>

enum { CURSOR = 17 };

/* It is as it was; if its change was cut off, the other way is still open. */
static void go_back(struct model_entry *entry)
{
    struct model_value now = entry->now;
    entry->now = entry->was;
    entry->was = entry->is_cut ? now : entry->older;
    entry->may_lack = true;
}

static bool get_value(struct model *model, const struct model_key *key, uint8_t *out,
                      size_t *out_size)
{
    const struct word words[] = {word("GET"), {key->at, key->size}};
    size_t size = 0;
    model_send_words(model, words, array_length(words));
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
    return value->size == size && (size == 0 || memcmp(model_payload(value), at, size) == 0);
}

static void compare_value(struct model *model, uint64_t number)
{
    static uint8_t got[MODEL_VALUE_MAX];
    struct model_entry *entry = &model->entries[number];
    const struct model_key key = model_key(model, number);
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
    const struct model_key key = model_key(model, number);
    for (size_t i = 0; i < array_length(verbs); i++) {
        char reply[16] = "nil";
        const struct word words[] = {word(verbs[i]), {key.at, key.size}};
        if (now->lives || i == 0)
            (void)snprintf(reply, sizeof reply, ":%u", facts[i]);
        model_send_words(model, words, array_length(words));
        model_must_answer(model, reply, words);
    }
}

/* The change before the last is told of, unless it was a delete. */
static void compare_history(struct model *model, uint64_t number)
{
    static const char head[] = "*3\r\n$8\r\n";
    const struct model_entry *entry = &model->entries[number];
    const struct model_key key = model_key(model, number);
    uint8_t token[8];
    struct word words[] = {word("HISTORY"), {key.at, key.size}, {token, sizeof token}};
    size_t size = 0;
    if (!entry->now.lives || entry->may_lack || entry->is_cut)
        return;
    model_send_words(model, words, 2);
    const uint8_t *reply = client_reply(on(model->connection), &size);
    bool has_past = size > sizeof head + sizeof token && memcmp(reply, head, sizeof head - 1) == 0;
    if (has_past != entry->was.lives)
        fail_msg("%s: the history of key %llu has %s", model->name, (unsigned long long)number,
                 has_past ? "what never was" : "nothing of what was");
    if (!has_past)
        return;
    memcpy(token, reply + sizeof head - 1, sizeof token);
    model_send_words(model, words, 3);
    reply = client_reply(on(model->connection), &size);
    if (size < entry->was.size + 2 || memcmp(reply + size - 2 - entry->was.size,
                                             model_payload(&entry->was), entry->was.size) != 0)
        fail_msg("%s: the history of key %llu is not its last value but %.*s", model->name,
                 (unsigned long long)number, size > 100 ? 100 : (int)size, (const char *)reply);
}

static void compare_sums(struct model *model)
{
    char request[160], text[80];
    uint64_t bytes, n = model_count_live(model, &bytes);
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
        uint64_t number = model_number(model, at, key_size);
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
    uint64_t bytes, n = 0, expected = model_count_live(model, &bytes);
    struct word words[] = {word(verb), {cursor, sizeof cursor}};
    assert_non_null(seen);
    for (size_t n_words = 1;; n_words = 2) {
        size_t size = 0;
        model_send_words(model, words, n_words);
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
    for (uint64_t i = 0; i < model_count(model); i++)
        if (model->entries[i].now.lives || model->entries[i].is_open || !model->sequential ||
            dice(model->random, 1 + model_count(model) / dead_most) == 0) {
            compare_value(model, i);
            compare_facts(model, i);
            compare_history(model, i);
        }
    compare_sums(model);
    compare_scan(model, "SCAN");
    compare_scan(model, "RSCAN");
}
