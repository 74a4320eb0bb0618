/* The admin's connection, to a real 0-db and to a peer that says what no 0-db would. */
#include "linkbed.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

static struct bed bed;
static const struct link_times hasty = {.ping_ms = 20, .answer_ms = 100, .start_ms = 300};
/* The hang is what is waited for, not the answers of a slow machine. */
static const struct link_times brisk = {.ping_ms = 50, .answer_ms = 1000, .start_ms = 30000};

/* --- a real 0-db ----------------------------------------------------------------------------- */

static void it_comes_up_and_is_admin(void)
{
    struct answer made = {0}, listed = {0};
    bed_open(&bed, NULL);
    bed_link_zdb(&bed);
    bed_send(&bed, &made, "NSNEW", "one");
    bed_send(&bed, &listed, "NSLIST");
    bed_run_until(&bed, &listed.n, 1);
    assert_string_equal(made.text, "OK");
    assert_int_equal(listed.type, REDIS_REPLY_ARRAY);
    bed_close(&bed);
}

static void an_error_reply_is_a_reply(void)
{
    struct answer refused = {0}, after = {0};
    bed_open(&bed, NULL);
    bed_link_zdb(&bed);
    bed_send(&bed, &refused, "NSDEL", "nobody");
    bed_send(&bed, &after, "PING");
    bed_run_until(&bed, &after.n, 1);
    assert_int_equal(refused.type, REDIS_REPLY_ERROR);
    assert_string_equal(refused.text, "This namespace doesn't exists");
    assert_string_equal(after.text, "PONG");
    assert_int_equal(bed.n_lost, 0);
    bed_close(&bed);
}

static void a_thousand_commands_are_answered_in_their_order(void)
{
    enum { N = 1000 };
    struct answer *answers = calloc(N, sizeof *answers);
    unsigned next = 0;
    char value[16];
    assert_non_null(answers);
    bed_open(&bed, NULL);
    bed_link_zdb(&bed);
    for (unsigned i = 0; i < N; i++) {
        answers[i].next = &next;
        (void)snprintf(value, sizeof value, "%u", i / 2);
        if (i % 2 == 0)
            bed_send(&bed, &answers[i], "SET", "key", value);
        else
            bed_send(&bed, &answers[i], "GET", "key");
        if (i % 100 == 99)
            (void)uv_run(&bed.loop, UV_RUN_NOWAIT);
    }
    bed_run_until(&bed, &answers[N - 1].n, 1);
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(answers[i].n, 1);
        assert_int_equal(answers[i].last, i + 1);
        if (i % 2 == 1)
            assert_int_equal(atoi(answers[i].text), i / 2);
    }
    bed_close(&bed);
    free(answers);
}

static void arguments_are_any_bytes(void)
{
    static const char value[] = "\r\n$5\0\xff*";
    const char *const set[] = {"SET", "a\0b", value};
    const size_t set_lengths[] = {3, 3, sizeof value};
    const char *const get[] = {"GET", "a\0b"};
    const size_t get_lengths[] = {3, 3};
    struct answer was_set = {0}, got = {0};
    bed_open(&bed, NULL);
    bed_link_zdb(&bed);
    assert_int_equal(link_send(bed.link, 3, set, set_lengths, bed_note, &was_set, NULL), 0);
    assert_int_equal(link_send(bed.link, 2, get, get_lengths, bed_note, &got, NULL), 0);
    bed_run_until(&bed, &got.n, 1);
    assert_int_equal(was_set.length, 3);
    assert_int_equal(got.length, sizeof value);
    assert_memory_equal(got.text, value, sizeof value);
    bed_close(&bed);
}

static void so_many_may_be_unanswered(void)
{
    struct answer many = {0}, refused = {0};
    autoerr struct err err = {0};
    static const char *const ping[] = {"PING", NULL};
    bed_open(&bed, NULL);
    bed_link_zdb(&bed);
    for (int i = 0; i < LINK_PENDING_MAX; i++)
        bed_send(&bed, &many, "PING");
    assert_int_equal(bed_try_send(&bed, &refused, ping, &err), -ERR_RESOURCE_EXHAUSTED);
    assert_true(err.retryable);
    bed_run_until(&bed, &many.n, LINK_PENDING_MAX);
    assert_int_equal(many.n_failed, 0);
    assert_int_equal(refused.n, 0);
    bed_close(&bed);
}

static void one_that_ends_fails_what_is_unanswered(void)
{
    struct answer answers[3] = {0}, refused = {0};
    static const char *const ping[] = {"PING", NULL};
    bed_open(&bed, NULL);
    bed_link_zdb(&bed);
    assert_int_equal(kill(bed.zdb.pid, SIGSTOP), 0);
    for (size_t i = 0; i < array_length(answers); i++)
        bed_send(&bed, &answers[i], "PING");
    (void)uv_run(&bed.loop, UV_RUN_NOWAIT);
    server_kill(&bed.zdb);
    bed_expect_loss(&bed, LINK_CLOSED, "");
    for (size_t i = 0; i < array_length(answers); i++) {
        assert_int_equal(answers[i].n, 1);
        assert_int_equal(answers[i].code, ERR_UNAVAILABLE);
    }
    assert_int_equal(bed_try_send(&bed, &refused, ping, NULL), -ERR_UNAVAILABLE);
    bed_close(&bed);
    for (size_t i = 0; i < array_length(answers); i++)
        assert_int_equal(answers[i].n, 1);
}

static void one_that_hangs_is_seen(void)
{
    struct answer answer = {0};
    bed_open(&bed, &brisk);
    bed_link_zdb(&bed);
    assert_int_equal(kill(bed.zdb.pid, SIGSTOP), 0);
    bed_send(&bed, &answer, "NSLIST");
    bed_expect_loss(&bed, LINK_HUNG, "NSLIST was not answered within 1000 ms");
    assert_int_equal(answer.n_failed, 1);
    bed_close(&bed);
}

static void one_that_hangs_is_seen_when_nobody_asks_it_anything(void)
{
    bed_open(&bed, &brisk);
    bed_link_zdb(&bed);
    assert_int_equal(kill(bed.zdb.pid, SIGSTOP), 0);
    bed_expect_loss(&bed, LINK_HUNG, "PING was not answered");
    bed_close(&bed);
}

static void closing_cancels_what_is_unanswered(void)
{
    struct answer answer = {0};
    bed_open(&bed, NULL);
    bed_link_zdb(&bed);
    bed_send(&bed, &answer, "PING");
    bed_send(&bed, &answer, "PING");
    link_close(take_ptr(bed.link));
    assert_int_equal(answer.n, 0);
    bed_close(&bed);
    assert_int_equal(answer.n_failed, 2);
    assert_int_equal(answer.code, ERR_UNAVAILABLE);
    assert_int_equal(bed.n_lost, 0);
}

static void a_wrong_password_is_a_lie(void)
{
    bed_open(&bed, NULL);
    bed_start_zdb(&bed, "another");
    bed_link(&bed, bed.zdb.pid);
    bed_expect_loss(&bed, LINK_LIES, "password");
    assert_int_equal(bed.n_up, 0);
    bed_close(&bed);
}

/* --- who is spoken to ------------------------------------------------------------------------ */

static void a_stranger_is_told_nothing(void)
{
    bed_open(&bed, NULL);
    bed_listen(&bed);
    bed_link(&bed, getppid());
    bed_expect_loss(&bed, LINK_LIES, "listens, and not");
    bed_expect_silence(&bed);
    bed_close(&bed);
}

static void what_is_no_password_is_not_said(void)
{
    static const char *const wrong[] = {"", "0123", BED_PASSWORD "0", "no hexadecimal digits"};
    for (size_t i = 0; i < array_length(wrong); i++) {
        bed_open(&bed, NULL);
        assert_int_equal(chmod(bed.password, 0600), 0);
        int fd = open(bed.password, O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_int_equal(write(fd, wrong[i], strlen(wrong[i])), strlen(wrong[i]));
        (void)close(fd);
        bed_listen(&bed);
        bed_link(&bed, getpid());
        bed_expect_loss(&bed, LINK_LIES, "password");
        bed_expect_silence(&bed);
        bed_clear(&bed);
    }
}

static void a_password_elsewhere_is_not_read(void)
{
    bed_open(&bed, NULL);
    char elsewhere[PATH_MAX];
    (void)snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", zdb.dir);
    assert_int_equal(rename(bed.password, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, bed.password), 0);
    bed_listen(&bed);
    bed_link(&bed, getpid());
    bed_expect_loss(&bed, LINK_LIES, "password");
    bed_expect_silence(&bed);
    bed_clear(&bed);
    bed_open(&bed, NULL);
    assert_int_equal(unlink(bed.password), 0);
    assert_int_equal(mkfifo(bed.password, 0600), 0);
    bed_listen(&bed);
    bed_link(&bed, getpid());
    bed_expect_loss(&bed, LINK_LIES, "password");
    bed_close(&bed);
}

/* --- when it is there ------------------------------------------------------------------------ */

static void a_socket_that_comes_later_is_found(void)
{
    bed_open(&bed, NULL);
    bed_link(&bed, getpid());
    (void)uv_run(&bed.loop, UV_RUN_NOWAIT);
    bed_listen(&bed);
    bed_accept(&bed);
    bed_close(&bed);
}

static void a_run_directory_that_comes_later_is_found(void)
{
    char aside[PATH_MAX];
    bed_open(&bed, NULL);
    (void)snprintf(aside, sizeof aside, "%s/aside", zdb.dir);
    assert_int_equal(rename(bed.zdb.dir, aside), 0);
    bed_link(&bed, getpid());
    (void)uv_run(&bed.loop, UV_RUN_NOWAIT);
    assert_int_equal(rename(aside, bed.zdb.dir), 0);
    bed_listen(&bed);
    bed_accept(&bed);
    bed_close(&bed);
}

static void a_socket_at_which_nobody_listens_yet_is_waited_for(void)
{
    bed_open(&bed, NULL);
    bed_bind(&bed);
    bed_link(&bed, getpid());
    (void)uv_run(&bed.loop, UV_RUN_NOWAIT);
    assert_int_equal(bed.n_lost, 0);
    bed_listen(&bed);
    bed_accept(&bed);
    bed_close(&bed);
}

static void the_wait_for_a_socket_ends(void)
{
    bed_open(&bed, &hasty);
    bed_link(&bed, getpid());
    bed_expect_loss(&bed, LINK_CLOSED, "after 300 ms");
    bed_close(&bed);
}

static void one_that_accepts_nobody_hangs(void)
{
    int waiting[3];
    bed_open(&bed, &(struct link_times){.ping_ms = 20, .answer_ms = 100, .start_ms = 30000});
    bed_bind(&bed);
    assert_int_equal(listen(bed.listener, 1), 0);
    int n = bed_crowd(&bed, waiting, 3);
    bed_link(&bed, getpid());
    bed_expect_loss(&bed, LINK_HUNG, "lets nobody in");
    while (n > 0)
        (void)close(waiting[--n]);
    bed_close(&bed);
}

/* A loop that was held up, by a disk or by the machine, reads first and judges then. */
static void answers_that_waited_for_us_are_in_time(void)
{
    struct answer answer = {0};
    bed_open(&bed, &hasty);
    bed_up(&bed);
    bed_send(&bed, &answer, "INFO");
    bed_expect(&bed, "*1\r\n$4\r\nINFO\r\n");
    bed_say(&bed, "+fine\r\n");
    bed_hold_up(2 * hasty.answer_ms);
    bed_run_until(&bed, &answer.n, 1);
    assert_string_equal(answer.text, "fine");
    assert_int_equal(bed.n_lost, 0);
    bed_close(&bed);
}

/* --- what it says ---------------------------------------------------------------------------- */

static void one_turn_is_one_write(void)
{
    struct answer answer = {0};
    bed_open(&bed, NULL);
    bed_up(&bed);
    bed_send(&bed, &answer, "NSNEW", "x");
    bed_send(&bed, &answer, "NSSET", "x", "password", "y");
    (void)uv_run(&bed.loop, UV_RUN_NOWAIT);
    bed_expect(&bed, "*2\r\n$5\r\nNSNEW\r\n$1\r\nx\r\n"
                     "*4\r\n$5\r\nNSSET\r\n$1\r\nx\r\n$8\r\npassword\r\n$1\r\ny\r\n");
    bed_say(&bed, "+OK\r");
    (void)uv_run(&bed.loop, UV_RUN_NOWAIT);
    assert_int_equal(answer.n, 0);
    bed_say(&bed, "\n+OK\r\n");
    bed_run_until(&bed, &answer.n, 2);
    bed_close(&bed);
}

static void what_is_no_answer_ends_it(void)
{
    static const struct {
        const char *said, *reason;
    } cases[] = {
        {"garbage\r\n", "no RESP"},
        {"*100000\r\n", "no RESP"},
        {"*2000000000\r\n", "no RESP"},
        {"+OK\r\n+OK\r\n", "nobody asked"},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "no RESP"},
    };
    for (size_t i = 0; i < array_length(cases); i++) {
        struct answer answer = {0};
        bed_open(&bed, NULL);
        bed_up(&bed);
        bed_send(&bed, &answer, "PING");
        bed_say(&bed, cases[i].said);
        bed_expect_loss(&bed, LINK_LIES, cases[i].reason);
        assert_int_equal(answer.n, 1);
        bed_clear(&bed);
    }
}

static void an_answer_has_an_end(void)
{
    struct answer answer = {0};
    char some[4097];
    memset(some, 'x', sizeof some - 1);
    some[sizeof some - 1] = '\0';
    bed_open(&bed, NULL);
    bed_up(&bed);
    bed_send(&bed, &answer, "GET", "k");
    bed_say(&bed, "$100000000\r\n");
    for (unsigned i = 0; i < 5000 && bed.n_lost == 0; i++) {
        bed_say(&bed, some);
        (void)uv_run(&bed.loop, UV_RUN_NOWAIT);
    }
    bed_expect_loss(&bed, LINK_LIES, "without end");
    assert_int_equal(answer.n_failed, 1);
    bed_close(&bed);
}

/* Upstream's 0-db may leave what came unread until more does. */
static void one_that_owes_an_answer_is_nudged(void)
{
    struct answer answer = {0};
    bed_open(&bed, &(struct link_times){.ping_ms = 20, .answer_ms = 30000, .start_ms = 30000});
    bed_up(&bed);
    bed_send(&bed, &answer, "INFO");
    bed_expect(&bed, "*1\r\n$4\r\nINFO\r\n");
    bed_expect(&bed, "*1\r\n$4\r\nPING\r\n");
    bed_say(&bed, "+late\r\n+PONG\r\n");
    bed_run_until(&bed, &answer.n, 1);
    assert_string_equal(answer.text, "late");
    bed_close(&bed);
}

static void one_that_hangs_up_between_two_answers(void)
{
    struct answer first = {0}, second = {0};
    bed_open(&bed, NULL);
    bed_up(&bed);
    bed_send(&bed, &first, "NSNEW", "x");
    bed_send(&bed, &second, "NSSET", "x", "password", "y");
    (void)uv_run(&bed.loop, UV_RUN_NOWAIT);
    bed_say(&bed, "+OK\r\n");
    assert_int_equal(shutdown(bed.peer, SHUT_RDWR), 0);
    bed_expect_loss(&bed, LINK_CLOSED, "closed the connection");
    assert_int_equal(first.n - first.n_failed, 1);
    assert_int_equal(second.n_failed, 1);
    bed_close(&bed);
}

static void an_answer_that_comes_too_late_finds_nobody(void)
{
    struct answer answer = {0};
    bed_open(&bed, &hasty);
    bed_up(&bed);
    bed_send(&bed, &answer, "GET", "k");
    bed_expect_loss(&bed, LINK_HUNG, "GET was not answered within 100 ms");
    bed_say(&bed, "+late\r\n");
    (void)uv_run(&bed.loop, UV_RUN_NOWAIT);
    assert_int_equal(answer.n, 1);
    assert_int_equal(answer.n_failed, 1);
    bed_close(&bed);
}

static void close_within(const redisReply *reply, const struct err *err, void *data)
{
    bed_note(reply, err, data);
    link_close(take_ptr(bed.link));
}

/* Whoever is called back may be done with it: in an answer, and in a failure. */
static void it_may_be_closed_from_within(void)
{
    static const char *const ping[] = {"PING"};
    for (int hangs_up = 0; hangs_up < 2; hangs_up++) {
        struct answer first = {0}, others = {0};
        bed_open(&bed, NULL);
        bed_up(&bed);
        assert_int_equal(link_send(bed.link, 1, ping, NULL, close_within, &first, NULL), 0);
        bed_send(&bed, &others, "PING");
        bed_send(&bed, &others, "PING");
        if (hangs_up)
            assert_int_equal(shutdown(bed.peer, SHUT_RDWR), 0);
        else
            bed_say(&bed, "+PONG\r\n+PONG\r\n+PONG\r\n");
        bed_run_until(&bed, &others.n_failed, 2);
        assert_int_equal(first.n, 1);
        assert_int_equal(others.n, 2);
        assert_int_equal(bed.n_lost, 0);
        bed_clear(&bed);
    }
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(it_comes_up_and_is_admin),
        zdb_case(an_error_reply_is_a_reply),
        zdb_case(a_thousand_commands_are_answered_in_their_order),
        zdb_case(arguments_are_any_bytes),
        zdb_case(so_many_may_be_unanswered),
        zdb_case(one_that_ends_fails_what_is_unanswered),
        zdb_case(one_that_hangs_is_seen),
        zdb_case(one_that_hangs_is_seen_when_nobody_asks_it_anything),
        zdb_case(closing_cancels_what_is_unanswered),
        zdb_case(a_wrong_password_is_a_lie),
        zdb_case(a_stranger_is_told_nothing),
        zdb_case(what_is_no_password_is_not_said),
        zdb_case(a_password_elsewhere_is_not_read),
        zdb_case(a_socket_that_comes_later_is_found),
        zdb_case(a_run_directory_that_comes_later_is_found),
        zdb_case(a_socket_at_which_nobody_listens_yet_is_waited_for),
        zdb_case(the_wait_for_a_socket_ends),
        zdb_case(one_that_accepts_nobody_hangs),
        zdb_case(answers_that_waited_for_us_are_in_time),
        zdb_case(one_turn_is_one_write),
        zdb_case(what_is_no_answer_ends_it),
        zdb_case(an_answer_has_an_end),
        zdb_case(one_that_owes_an_answer_is_nudged),
        zdb_case(one_that_hangs_up_between_two_answers),
        zdb_case(an_answer_that_comes_too_late_finds_nobody),
        zdb_case(it_may_be_closed_from_within),
    };
    return zdb_main(argc, argv, "zdbd_link", cases, array_length(cases));
}
