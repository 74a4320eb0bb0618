/* One thread: the loop turns until something has happened, never for a time. */
#include "linkbed.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { BED_WAIT_MS = 30000 };

static void write_password(const struct bed *bed)
{
    autoclose int fd = open(bed->password, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, BED_PASSWORD "\n", strlen(BED_PASSWORD) + 1),
                     strlen(BED_PASSWORD) + 1);
}

void bed_open(struct bed *bed, const struct link_times *times)
{
    static const struct link_times usual = {LINK_PING_MS, LINK_ANSWER_MS, LINK_START_MS};
    char dir[sizeof zdb.dir + 64];
    *bed = (struct bed){.listener = -1, .peer = -1};
    assert_int_equal(uv_loop_init(&bed->loop), 0);
    link_set_times(times ? times : &usual);
    (void)snprintf(dir, sizeof dir, "%s/zdb", zdb.dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    (void)snprintf(dir, sizeof dir, "%s/zdb/%s", zdb.dir, BED_POOL);
    assert_int_equal(mkdir(dir, 0700), 0);
    server_init(&bed->zdb, dir);
    (void)snprintf(bed->socket, sizeof bed->socket, "%s/socket", dir);
    (void)snprintf(bed->zdb.socket, sizeof bed->zdb.socket, "%s/socket", dir);
    (void)snprintf(bed->password, sizeof bed->password, "%s/password", dir);
    write_password(bed);
}

void bed_close(struct bed *bed)
{
    if (bed->link)
        link_close(bed->link);
    assert_int_equal(uv_run(&bed->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&bed->loop), 0);
    if (bed->peer >= 0)
        (void)close(bed->peer);
    if (bed->listener >= 0)
        (void)close(bed->listener);
    server_end(&bed->zdb);
}

void bed_clear(struct bed *bed)
{
    char dir[sizeof zdb.dir + 64];
    bed_close(bed);
    (void)unlink(bed->password);
    (void)unlink(bed->socket);
    (void)snprintf(dir, sizeof dir, "%s/zdb", zdb.dir);
    assert_int_equal(rmdir(bed->zdb.dir), 0);
    assert_int_equal(rmdir(dir), 0);
}

/* --- the link -------------------------------------------------------------------------------- */

static void on_up(void *data)
{
    struct bed *bed = data;
    bed->n_up++;
}

static void on_lost(enum link_loss loss, const char *reason, void *data)
{
    struct bed *bed = data;
    bed->n_lost++;
    bed->loss = loss;
    (void)snprintf(bed->reason, sizeof bed->reason, "%s", reason);
}

void bed_link(struct bed *bed, pid_t pid)
{
    const struct link_callbacks callbacks = {.up = on_up, .lost = on_lost, .data = bed};
    assert_int_equal(link_open(&bed->loop, zdb.dir, BED_POOL, pid, &callbacks, &bed->link, NULL),
                     0);
    assert_false(link_is_up(bed->link));
}

void bed_run_until(struct bed *bed, const unsigned *counter, unsigned value)
{
    uint64_t deadline = clock_monotonic_ms() + BED_WAIT_MS;
    while (*counter < value) {
        if (clock_monotonic_ms() > deadline)
            fail_msg("%u instead of %u after %d ms", *counter, value, BED_WAIT_MS);
        (void)uv_run(&bed->loop, UV_RUN_ONCE);
    }
    assert_int_equal(*counter, value);
}

void bed_hold_up(uint32_t ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    assert_int_equal(nanosleep(&time, NULL), 0);
}

void bed_expect_loss(struct bed *bed, enum link_loss loss, const char *in_reason)
{
    bed_run_until(bed, &bed->n_lost, 1);
    assert_int_equal(bed->loss, loss);
    if (!strstr(bed->reason, in_reason))
        fail_msg("the reason is: %s", bed->reason);
    assert_false(link_is_up(bed->link));
}

void bed_note(const redisReply *reply, const struct err *err, void *data)
{
    struct answer *answer = data;
    answer->n++;
    answer->last = answer->next ? ++*answer->next : 0;
    assert_int_equal(reply == NULL, err != NULL);
    if (!reply) {
        answer->n_failed++;
        answer->code = err->code;
        return;
    }
    answer->type = reply->type;
    answer->integer = reply->integer;
    answer->length = reply->len;
    if (reply->str && reply->len < sizeof answer->text) {
        memcpy(answer->text, reply->str, reply->len);
        answer->text[reply->len] = '\0';
    }
}

int bed_try_send(struct bed *bed, struct answer *answer, const char *const *words, struct err *err)
{
    int n = 0;
    while (words[n])
        n++;
    unsigned before = answer->n;
    int rc = link_send(bed->link, n, words, NULL, bed_note, answer, err);
    assert_int_equal(answer->n, before);
    return rc;
}

/* --- a real 0-db ----------------------------------------------------------------------------- */

void bed_start_zdb(struct bed *bed, const char *password)
{
    server_start_with(&bed->zdb, "--admin", password, "--datasize", "1M");
}

void bed_link_zdb(struct bed *bed)
{
    bed_start_zdb(bed, BED_PASSWORD);
    bed_link(bed, bed->zdb.pid);
    bed_run_until(bed, &bed->n_up, 1);
    assert_true(link_is_up(bed->link));
}

/* --- the test as a peer ---------------------------------------------------------------------- */

static struct sockaddr_un address_of(const struct bed *bed)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.107s", bed->socket);
    return address;
}

int bed_crowd(const struct bed *bed, int *fds, int most)
{
    struct sockaddr_un address = address_of(bed);
    int n = 0;
    for (; n < most; n++) {
        fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connect(fds[n], (const struct sockaddr *)&address, sizeof address) == 0)
            continue;
        assert_int_equal(errno, EAGAIN);
        (void)close(fds[n]);
        return n;
    }
    fail_msg("the backlog has no end");
    return n;
}

void bed_bind(struct bed *bed)
{
    struct sockaddr_un address = address_of(bed);
    bed->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(bed->listener >= 0);
    assert_int_equal(bind(bed->listener, (const struct sockaddr *)&address, sizeof address), 0);
}

void bed_listen(struct bed *bed)
{
    if (bed->listener < 0)
        bed_bind(bed);
    assert_int_equal(listen(bed->listener, 8), 0);
}

void bed_accept(struct bed *bed)
{
    uint64_t deadline = clock_monotonic_ms() + BED_WAIT_MS;
    /* cppcheck-suppress nullPointer ; accept(2) allows it */
    while ((bed->peer = accept4(bed->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) < 0) {
        assert_int_equal(errno, EAGAIN);
        assert_true(clock_monotonic_ms() < deadline);
        (void)uv_run(&bed->loop, UV_RUN_ONCE);
    }
}

void bed_expect(struct bed *bed, const char *text)
{
    char said[1024];
    int n = 0;
    uint64_t deadline = clock_monotonic_ms() + BED_WAIT_MS;
    struct pollfd readable = {.fd = bed->peer, .events = POLLIN};
    for (; n < (int)strlen(text); assert_true(clock_monotonic_ms() < deadline)) {
        (void)uv_run(&bed->loop, UV_RUN_NOWAIT);
        (void)poll(&readable, 1, 10);
        assert_int_equal(ioctl(bed->peer, FIONREAD, &n), 0);
    }
    assert_int_equal(recv(bed->peer, said, strlen(text), 0), strlen(text));
    assert_memory_equal(said, text, strlen(text));
}

void bed_say(struct bed *bed, const char *text)
{
    assert_int_equal(send(bed->peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

void bed_up(struct bed *bed)
{
    bed_listen(bed);
    bed_link(bed, getpid());
    bed_accept(bed);
    bed_expect(bed, "*2\r\n$4\r\nAUTH\r\n$64\r\n" BED_PASSWORD "\r\n");
    bed_say(bed, "+OK\r\n");
    bed_run_until(bed, &bed->n_up, 1);
}

void bed_expect_silence(struct bed *bed)
{
    char said[16];
    if (bed->peer < 0)
        bed_accept(bed);
    link_close(take_ptr(bed->link));
    assert_int_equal(uv_run(&bed->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(recv(bed->peer, said, sizeof said, 0), 0);
}
