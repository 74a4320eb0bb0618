/*
 * The control socket of storaged: who may ask what, and that nobody who asks badly, or does not
 * listen, costs anybody else anything. Needs root.
 */
#include "supervised.h"

#include "base/cleanup.h"

#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#define RESTART STORAGE__V1__CONTROL_REQUEST__VERB_RESTART

enum { NOBODY = 65534 };

static struct supervised node;

static int create(void **state)
{
    (void)state;
    supervised_create(&node);
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    supervised_destroy(&node);
    return 0;
}

static void expect_refusal(int fd, const void *packet, size_t length)
{
    assert_int_equal(send(fd, packet, length, MSG_NOSIGNAL), length);
    Storage__V1__ControlReply *reply = supervised_receive(fd);
    assert_non_null(reply);
    assert_int_equal(reply->status->code, STORAGE__V1__CODE__INVALID_ARGUMENT);
    supervised_free(reply);
}

static void garbage_is_refused(void **state)
{
    static uint8_t large[100 * 1024];
    static const uint8_t no_verb[] = {0x08, 0x01}, no_version[] = {0x12, 0x00},
                         next_version[] = {0x08, 0x02, 0x12, 0x00};
    (void)state;
    supervised_start(&node, "ready", NULL);
    (void)supervised_wait_ready(&node, "ready");
    autoclose int fd = supervised_connect(&node);
    memset(large, 0xff, sizeof large);
    expect_refusal(fd, "\xff\xff\xff\xff", 4);
    expect_refusal(fd, large, sizeof large);
    expect_refusal(fd, no_verb, sizeof no_verb);
    expect_refusal(fd, no_version, sizeof no_version);
    expect_refusal(fd, next_version, sizeof next_version);
    assert_int_equal(supervised_verb(&node, RESTART, "nobody"), STORAGE__V1__CODE__NOT_FOUND);
    assert_int_equal(send(fd, "", 0, MSG_NOSIGNAL), 0);
    assert_null(supervised_receive(fd));
    supervised_stop(&node);
}

static void a_client_that_never_reads_holds_nobody_up(void **state)
{
    static const uint8_t list[] = {0x08, 0x01, 0x12, 0x00};
    (void)state;
    supervised_start(&node, "ready exits", NULL);
    (void)supervised_wait_ready(&node, "ready");
    autoclose int deaf = supervised_connect(&node);
    int sent = 0;
    while (sent < 100000 && send(deaf, list, sizeof list, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        sent++;
    supervised_free(supervised_list(&node));
    supervised_stop(&node);
}

static void idle_clients_make_room(void **state)
{
    int idle[100];
    (void)state;
    supervised_start(&node, "ready", NULL);
    (void)supervised_wait_ready(&node, "ready");
    for (size_t i = 0; i < array_length(idle); i++)
        idle[i] = supervised_connect(&node);
    supervised_free(supervised_list(&node));
    for (size_t i = 0; i < array_length(idle); i++)
        (void)close(idle[i]);
    supervised_stop(&node);
}

/* What a process of another uid gets: the code of a list, and that of a restart. */
static int ask_as_nobody(void)
{
    if (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
        return 100;
    Storage__V1__ControlReply *reply = supervised_list(&node);
    supervised_free(reply);
    return (int)supervised_verb(&node, RESTART, "ready");
}

static int in_child(int (*work)(void))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(work());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void the_group_may_look_but_not_change(void **state)
{
    (void)state;
    supervised_start(&node, "ready", NULL);
    (void)supervised_wait_ready(&node, "ready");
    assert_int_equal(in_child(ask_as_nobody), STORAGE__V1__CODE__PERMISSION_DENIED);
    supervised_stop(&node);
}

static void a_configured_uid_may_change(void **state)
{
    (void)state;
    supervised_start(&node, "ready", (const char *const[]){"--set", "storaged.admins=65534", NULL});
    (void)supervised_wait_ready(&node, "ready");
    assert_int_equal(in_child(ask_as_nobody), STORAGE__V1__CODE__OK);
    (void)supervised_wait_ready(&node, "ready");
    supervised_stop(&node);
}

#define supervised_test(test) cmocka_unit_test_setup_teardown(test, create, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        supervised_test(garbage_is_refused),
        supervised_test(a_client_that_never_reads_holds_nobody_up),
        supervised_test(idle_clients_make_room),
        supervised_test(the_group_may_look_but_not_change),
        supervised_test(a_configured_uid_may_change),
    };
    if (geteuid() != 0) {
        (void)fprintf(stderr, "skipped: storaged runs as root only\n");
        return 77;
    }
    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
