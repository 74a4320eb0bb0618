/* What the transport knows without a socket: checks of packed bytes, and remembered outcomes. */
#include "base/cleanup.h"
#include "base/utf8.h"
#include "probe.pb-c.h"
#include "rpc/outcome.h"
#include "rpc/scrub.h"
#include "rpc/validate.h"
#include "rpc/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the headers above. */
#include <cmocka.h>

static bool is_utf8(const char *text)
{
    return utf8_valid(text, strlen(text));
}

static void utf8_is_strict(void **state)
{
    (void)state;
    static const char *const good[] = {
        "",
        "plain",
        "caf\xc3\xa9",
        "\xe2\x82\xac",
        "\xf0\x9f\x92\xbe",
        "\xef\xbf\xbf",
        "\xed\x9f\xbf",
        "\xf4\x8f\xbf\xbf",
    };
    static const char *const bad[] = {
        "\x80",
        "\xc3",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xe2\x82",
        "\xff",
        "a\xe2\x28\xa1",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(is_utf8(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(is_utf8(bad[i]));
}

static size_t pack_sample(uint8_t *bytes, size_t size)
{
    Test__V1__Ask ask = TEST__V1__ASK__INIT;
    Test__V1__Inner inner = TEST__V1__INNER__INIT, *inners[] = {&inner, &inner};
    Test__V1__Colour colours[] = {TEST__V1__COLOUR__RED, TEST__V1__COLOUR__BLUE};
    char *texts[] = {(char *)"one", (char *)"tw\xc3\xb6"};
    uint32_t fixed[] = {1, 2, 3};
    inner.text = (char *)"inner";
    inner.colour = TEST__V1__COLOUR__BLUE;
    ask.text = (char *)"text";
    ask.inner = &inner;
    ask.n_inners = 2;
    ask.inners = inners;
    ask.n_colours = 2;
    ask.colours = colours;
    ask.n_texts = 2;
    ask.texts = texts;
    ask.choice_case = TEST__V1__ASK__CHOICE_CHOSEN_INNER;
    ask.chosen_inner = &inner;
    ask.raw = (ProtobufCBinaryData){.len = 4, .data = (uint8_t *)"\0\xff\0\xff"};
    ask.number = 1u << 30;
    ask.n_fixed = 3;
    ask.fixed = fixed;
    ask.real = 1.5;
    assert_true(test__v1__ask__get_packed_size(&ask) <= size);
    return test__v1__ask__pack(&ask, bytes);
}

static void what_is_right_passes(void **state)
{
    (void)state;
    uint8_t bytes[512];
    size_t length = pack_sample(bytes, sizeof bytes);
    assert_int_equal(validate_packed(&test__v1__ask__descriptor, bytes, length, NULL), 0);
    assert_int_equal(validate_packed(&test__v1__ask__descriptor, NULL, 0, NULL), 0);
    static const char unknown[] = "\xf8\x07\x01"
                                  "\xfa\x07\x02\xff\xff"; /* fields 127 */
    assert_int_equal(validate_packed(&test__v1__ask__descriptor, unknown, sizeof unknown - 1, NULL),
                     0);
}

/* Between, before and behind the known ones, of every wire type. */
static void what_is_unknown_is_taken_out(void **state)
{
    (void)state;
    static const char unknown[] = "\xf8\x07\x80\x01"
                                  "\xfa\x07\x02\xff\xff"
                                  "\xf9\x07\1\2\3\4\5\6\7\x8"
                                  "\xfd\x07\1\2\3\4";
    enum { UNKNOWN = sizeof unknown - 1 };
    uint8_t sample[512], bytes[sizeof sample + 2 * UNKNOWN];
    size_t length = pack_sample(sample, sizeof sample);
    memcpy(bytes, unknown, UNKNOWN);
    memcpy(bytes + UNKNOWN, sample, length);
    memcpy(bytes + UNKNOWN + length, unknown, UNKNOWN);
    const ProtobufCMessageDescriptor *ask = &test__v1__ask__descriptor;
    assert_int_equal(validate_strip(ask, bytes, length + 2 * UNKNOWN), length);
    assert_memory_equal(bytes, sample, length);
    assert_int_equal(validate_strip(ask, bytes, length), length);
    assert_memory_equal(bytes, sample, length);
    memcpy(bytes, unknown, UNKNOWN);
    assert_int_equal(validate_strip(ask, bytes, UNKNOWN), 0);
    assert_int_equal(validate_strip(ask, bytes, 0), 0);
}

/* Stripped first, a message passes exactly if it passes as it came, but for what was unknown. */
static void what_is_stripped_is_judged_the_same(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *ask = &test__v1__ask__descriptor;
    unsigned seed = 21, passed = 0, refused = 0;
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t bytes[512];
        size_t length = pack_sample(bytes, sizeof bytes);
        for (unsigned i = 0; i < round % 4; i++)
            bytes[(unsigned)rand_r(&seed) % length] = (uint8_t)rand_r(&seed);
        int rc = validate_packed(ask, bytes, length, NULL);
        length = validate_strip(ask, bytes, length);
        assert_int_equal(validate_packed(ask, bytes, length, NULL), rc);
        assert_int_equal(validate_strip(ask, bytes, length), length);
        *(rc == 0 ? &passed : &refused) += 1;
    }
    assert_true(passed > 1000 && refused > 1000);
}

/* Whatever passes can be unpacked: random damage to a good message, from a fixed seed. */
static void what_passes_can_be_unpacked(void **state)
{
    (void)state;
    unsigned seed = 20, passed = 0;
    for (unsigned round = 0; round < 200000; round++) {
        uint8_t bytes[512];
        size_t length = pack_sample(bytes, sizeof bytes);
        unsigned damages = 1 + (unsigned)rand_r(&seed) % 4;
        for (unsigned i = 0; i < damages; i++)
            bytes[(unsigned)rand_r(&seed) % length] = (uint8_t)rand_r(&seed);
        if (rand_r(&seed) % 4 == 0)
            length = (unsigned)rand_r(&seed) % length;
        if (validate_packed(&test__v1__ask__descriptor, bytes, length, NULL) < 0)
            continue;
        passed++;
        ProtobufCMessage *message =
            protobuf_c_message_unpack(&test__v1__ask__descriptor, NULL, length, bytes);
        assert_non_null(message);
        protobuf_c_message_free_unpacked(message, NULL);
    }
    assert_true(passed > 1000);
}

static const struct outcome_limits limits = {.keep_ms = 1000, .max_done = 3, .max_done_bytes = 100};

static enum outcome_state find(struct outcome_table *table, uid_t uid, const char *id,
                               uint64_t content, uint64_t now, struct outcome **out_outcome)
{
    struct outcome_key key = {.uid = uid, .request_id = id, .content = content};
    return outcome_find(table, &key, now, out_outcome);
}

static struct outcome *start(struct outcome_table *table, uid_t uid, const char *id,
                             uint64_t content, void *owner)
{
    struct outcome_key key = {.uid = uid, .request_id = id, .content = content};
    return outcome_begin(table, &key, owner);
}

static void an_outcome_is_kept_for_its_time(void **state)
{
    (void)state;
    int owner;
    struct outcome *outcome;
    struct outcome_table *table = outcome_table_new(&limits);
    assert_int_equal(find(table, 1, "a", 5, 0, &outcome), OUTCOME_UNKNOWN);
    outcome = start(table, 1, "a", 5, &owner);
    assert_int_equal(find(table, 1, "a", 5, 0, &outcome), OUTCOME_PENDING);
    assert_ptr_equal(outcome_owner(outcome), &owner);
    assert_int_equal(find(table, 1, "a", 6, 0, &outcome), OUTCOME_CONFLICT);
    assert_int_equal(find(table, 2, "a", 6, 0, &outcome), OUTCOME_UNKNOWN);
    assert_int_equal(find(table, 1, "a", 5, 99999, &outcome), OUTCOME_PENDING);
    outcome_finish(table, outcome, "reply", 5, 100000);
    assert_int_equal(find(table, 1, "a", 5, 100999, &outcome), OUTCOME_DONE);
    size_t length;
    assert_memory_equal(outcome_reply(outcome, &length), "reply", 5);
    assert_int_equal(length, 5);
    assert_int_equal(find(table, 1, "a", 6, 100999, &outcome), OUTCOME_CONFLICT);
    assert_int_equal(find(table, 1, "a", 5, 101000, &outcome), OUTCOME_UNKNOWN);
    outcome_table_free(table);
}

static void the_oldest_outcome_goes_first(void **state)
{
    (void)state;
    int owner;
    struct outcome *outcome;
    struct outcome_table *table = outcome_table_new(&limits);
    static const char *const ids[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < 4; i++)
        outcome_finish(table, start(table, 1, ids[i], 1, &owner), "x", 1, i);
    assert_int_equal(outcome_done_count(table), 3);
    assert_int_equal(find(table, 1, "a", 1, 10, &outcome), OUTCOME_UNKNOWN);
    assert_int_equal(find(table, 1, "b", 1, 10, &outcome), OUTCOME_DONE);
    char big[100] = {0};
    outcome_finish(table, start(table, 1, "big", 1, &owner), big, sizeof big, 10);
    assert_int_equal(outcome_done_count(table), 1);
    outcome_finish(table, start(table, 1, "too big", 1, &owner), big, 101, 10);
    assert_int_equal(find(table, 1, "too big", 1, 10, &outcome), OUTCOME_UNKNOWN);
    assert_int_equal(find(table, 1, "big", 1, 10, &outcome), OUTCOME_DONE);
    outcome_forget(table, start(table, 1, "gone", 1, &owner));
    assert_int_equal(find(table, 1, "gone", 1, 10, &outcome), OUTCOME_UNKNOWN);
    (void)start(table, 1, "left pending", 1, &owner);
    outcome_table_free(table);
}

static void many_outcomes_are_found(void **state)
{
    (void)state;
    int owner;
    struct outcome *outcome;
    static const struct outcome_limits many = {
        .keep_ms = 1000, .max_done = 20000, .max_done_bytes = 1 << 20};
    struct outcome_table *table = outcome_table_new(&many);
    char id[32];
    for (unsigned i = 0; i < 30000; i++) {
        snprintf(id, sizeof id, "id-%u", i);
        outcome_finish(table, start(table, i % 3, id, i, &owner), id, strlen(id), 1);
    }
    for (unsigned i = 0; i < 30000; i++) {
        snprintf(id, sizeof id, "id-%u", i);
        assert_int_equal(find(table, i % 3, id, i, 2, &outcome),
                         i < 10000 ? OUTCOME_UNKNOWN : OUTCOME_DONE);
    }
    assert_int_equal(find(table, 0, "none", 0, 1001, &outcome), OUTCOME_UNKNOWN);
    assert_int_equal(outcome_done_count(table), 0);
    outcome_table_free(table);
}

static void contents_are_told_apart(void **state)
{
    (void)state;
    uint64_t digest = outcome_digest("s/Method", "input", 5);
    assert_int_equal(outcome_digest("s/Method", "input", 5), digest);
    assert_int_not_equal(outcome_digest("s/Method", "inpu", 4), digest);
    assert_int_not_equal(outcome_digest("s/Metho", "dinput", 6), digest);
}

/* A code that is none of ours, and most of all a negative one, is still a failure. */
static void an_unknown_code_is_a_failure(void **state)
{
    (void)state;
    static const int codes[] = {-5, -1, 17, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        uint8_t bytes[64];
        Storage__V1__Status status = STORAGE__V1__STATUS__INIT;
        Storage__V1__Reply reply = STORAGE__V1__REPLY__INIT;
        struct err err = {0};
        uint64_t epoch;
        ProtobufCMessage *output = NULL;
        memcpy(&status.code, &codes[i], sizeof status.code);
        reply.status = &status;
        reply.epoch = 7;
        nng_msg *msg = wire_copy(bytes, storage__v1__reply__pack(&reply, bytes));
        assert_non_null(msg);
        assert_int_equal(
            wire_unpack_reply(msg, &test__v1__answer__descriptor, &epoch, &output, &err),
            -ERR_UNKNOWN);
        assert_int_equal(err.code, ERR_UNKNOWN);
        assert_int_equal(epoch, 7);
        assert_null(output);
        nng_msg_free(msg);
    }
}

static void what_is_no_text_is_scrubbed(void **state)
{
    (void)state;
    static const struct {
        const char *was, *is;
    } texts[] = {{"", ""},
                 {"plain \xc3\xa9", "plain \xc3\xa9"},
                 {"\xff", "?"},
                 {"a\xc3", "a?"},
                 {"\xf0\x9f\x98z", "???z"},
                 {"\xc0\xaf\xe2\x82\xac", "??\xe2\x82\xac"}};
    for (size_t i = 0; i < array_length(texts); i++) {
        uint8_t bytes[256];
        char text[32], *blockers[] = {text, text};
        Storage__V1__Status status = STORAGE__V1__STATUS__INIT;
        Storage__V1__ErrorDetails details = STORAGE__V1__ERROR_DETAILS__INIT;
        Storage__V1__Reply reply = STORAGE__V1__REPLY__INIT;
        (void)snprintf(text, sizeof text, "%s", texts[i].was);
        status.message = details.hint = text;
        details.retry_after_ms = 1000000;
        details.blockers = blockers;
        details.n_blockers = 2;
        status.details = &details;
        reply.status = &status;
        reply.epoch = UINT64_MAX;
        reply.output = (ProtobufCBinaryData){.len = 2, .data = (uint8_t *)(uintptr_t) "\xff\xff"};
        size_t length = storage__v1__reply__pack(&reply, bytes);
        scrub_packed(reply.base.descriptor, bytes, length);
        Storage__V1__Reply *seen = storage__v1__reply__unpack(NULL, length, bytes);
        assert_non_null(seen);
        assert_string_equal(seen->status->message, texts[i].is);
        assert_string_equal(seen->status->details->hint, texts[i].is);
        assert_string_equal(seen->status->details->blockers[1], texts[i].is);
        assert_int_equal(seen->status->details->retry_after_ms, 1000000);
        assert_memory_equal(seen->output.data, "\xff\xff", 2);
        storage__v1__reply__free_unpacked(seen, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_strict),
        cmocka_unit_test(what_is_right_passes),
        cmocka_unit_test(what_is_unknown_is_taken_out),
        cmocka_unit_test(what_is_stripped_is_judged_the_same),
        cmocka_unit_test(what_passes_can_be_unpacked),
        cmocka_unit_test(an_outcome_is_kept_for_its_time),
        cmocka_unit_test(the_oldest_outcome_goes_first),
        cmocka_unit_test(many_outcomes_are_found),
        cmocka_unit_test(contents_are_told_apart),
        cmocka_unit_test(an_unknown_code_is_a_failure),
        cmocka_unit_test(what_is_no_text_is_scrubbed),
    };
    return cmocka_run_group_tests_name("rpc, pure", tests, NULL, NULL);
}
