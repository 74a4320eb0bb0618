/* Packets of the control socket: what is refused, and that every reply can be read. */
#include "base/cleanup.h"
#include "rpc/validate.h"
#include "verbs.h"
#include "verbs_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct supervisor supervisor;

static int ask(const void *packet, size_t length, struct err *err)
{
    struct verbs_request request = {.packet = packet, .length = length};
    supervisor = verbs_fixture_make();
    return verbs_run(&supervisor, &request, err);
}

static int ask_to_restart(const char *name, struct err *err)
{
    uint8_t packet[1024];
    Storage__V1__WorkerRequest worker = STORAGE__V1__WORKER_REQUEST__INIT;
    Storage__V1__ControlRequest request = STORAGE__V1__CONTROL_REQUEST__INIT;
    worker.name = (char *)(uintptr_t)name;
    request.version = 1;
    request.verb_case = STORAGE__V1__CONTROL_REQUEST__VERB_RESTART;
    request.restart = &worker;
    assert_true(storage__v1__control_request__get_packed_size(&request) <= sizeof packet);
    return ask(packet, storage__v1__control_request__pack(&request, packet), err);
}

static void a_name_with_a_nul_is_refused(void **state)
{
    (void)state;
    autoerr struct err err = {0};
    static const char packet[] = "\x08\x01\x1a\x08\x0a\x06"
                                 "diskd\0";
    assert_int_equal(ask(packet, sizeof packet - 1, &err), -ERR_INVALID_ARGUMENT);
    assert_string_equal(err.object, "restart.name");
    assert_int_equal(verbs_asked.restarts, 0);
    assert_int_equal(ask_to_restart("diskd", &err), 0);
    assert_int_equal(verbs_asked.restarts, 1);
}

static void an_empty_packet_asks_for_nothing(void **state)
{
    (void)state;
    autoerr struct err err = {0};
    assert_int_equal(ask(NULL, 0, &err), -ERR_INVALID_ARGUMENT);
}

static void bad_utf8_is_refused(void **state)
{
    (void)state;
    autoerr struct err err = {0};
    assert_int_equal(ask_to_restart("disk\xff", &err), -ERR_INVALID_ARGUMENT);
    assert_string_equal(err.object, "restart.name");
}

/* The name in the reply is cut, but never within a character. */
static void a_long_name_comes_back_as_utf8(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 2; shift++) {
        autoerr struct err err = {0};
        struct verbs_reply reply;
        char name[401] = "";
        memset(name, 'x', shift);
        for (size_t i = shift; i + 2 < sizeof name; i += 2)
            memcpy(name + i, "\xc3\xa4", 2);
        assert_int_equal(ask_to_restart(name, &err), -ERR_NOT_FOUND);
        verbs_fill_reply(&supervisor, &err, &reply);
        size_t length = storage__v1__control_reply__get_packed_size(&reply.message);
        autofree uint8_t *packet = malloc(length);
        assert_non_null(packet);
        (void)storage__v1__control_reply__pack(&reply.message, packet);
        assert_int_equal(
            validate_packed(&storage__v1__control_reply__descriptor, packet, length, &err), 0);
        assert_int_equal(strncmp(reply.details.object, name, 100), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_with_a_nul_is_refused),
        cmocka_unit_test(an_empty_packet_asks_for_nothing),
        cmocka_unit_test(bad_utf8_is_refused),
        cmocka_unit_test(a_long_name_comes_back_as_utf8),
    };
    return cmocka_run_group_tests_name("control verbs", tests, NULL, NULL);
}
