/* The hook file: what it is told, in which order, and what waits for it. */
#include "script.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>

/* The hook writes its arguments as one line into a fifo that the test reads. */
static int events = -1;
static char hook[PATH_MAX];

static void make_hook(const char *then)
{
    char fifo[PATH_MAX], text[2 * PATH_MAX];
    (void)snprintf(fifo, sizeof fifo, "%s/events", zdb.dir);
    (void)snprintf(hook, sizeof hook, "%s/hook", zdb.dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    if (events >= 0)
        (void)close(events);
    events = open(fifo, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    assert_true(events >= 0);
    int size = snprintf(text, sizeof text, "#!/bin/sh\nevent=$1\nshift 2\necho $event $* >%s\n%s\n",
                        fifo, then);
    const struct peer_bytes script = {.at = (uint8_t *)text, .size = (size_t)size};
    assert_true(peer_file_write(hook, &script));
    assert_int_equal(chmod(hook, 0700), 0);
}

/* The next line of any hook; "" when none comes. */
static void next_event(char *out, size_t room)
{
    size_t used = 0;
    while (used + 1 < room) {
        struct pollfd readable = {.fd = events, .events = POLLIN};
        if (poll(&readable, 1, CLIENT_WAIT_MS) != 1 || read(events, out + used, 1) != 1 ||
            out[used] == '\n')
            break;
        used++;
    }
    out[used] = '\0';
}

static void expect_event(const char *expected)
{
    char line[1024];
    next_event(line, sizeof line);
    if (strncmp(line, expected, strlen(expected)) != 0)
        fail_msg("the hook was told \"%s\", not \"%s\"", line, expected);
}

static void a_hook_is_told_of_namespaces(void)
{
    char inits[2 * PATH_MAX];
    make_hook("");
    server_start_with(&zdb, "--hook", hook);
    (void)snprintf(inits, sizeof inits, "namespaces-init %s %s", zdb.index, zdb.data);
    expect_event(inits);
    expect_event("ready");
    ask(1, "NSNEW a", "+OK");
    expect_event("namespace-created a");
    ask(1, "NSSET a maxsize 100", "+OK");
    expect_event("namespace-updated a");
    ask(1, "RELOAD a", "+OK");
    expect_event("namespace-reloaded a");
    ask(1, "NSDEL a", "+OK");
    char line[1024];
    next_event(line, sizeof line); /* its files are closed before it is gone */
    if (strncmp(line, "namespace-closing a", strlen("namespace-closing a")) == 0)
        next_event(line, sizeof line);
    assert_string_equal(line, "namespace-deleted a");
    hangup_all();
    server_stop(&zdb);
    do
        next_event(line, sizeof line);
    while (strncmp(line, "namespace-closing", strlen("namespace-closing")) == 0);
    assert_string_equal(line, "close");
}

static void a_hook_is_told_of_jumps(void)
{
    char line[1024];
    make_hook("");
    server_start_with(&zdb, "--hook", hook);
    expect_event("namespaces-init");
    expect_event("ready");
    ask(1, "SET key value", "=key");
    ask(1, "NSJUMP", "+OK");
    bool index = false, data = false;
    for (unsigned i = 0; i < 2; i++) { /* in either order */
        next_event(line, sizeof line);
        index = index || (strncmp(line, "jump-index ", 11) == 0 && strstr(line, "/i0 ") &&
                          strstr(line, "/i1"));
        data = data || (strncmp(line, "jump-data ", 10) == 0 && strstr(line, "/d0 ") &&
                        strstr(line, "/d1"));
    }
    assert_true(index && data);
}

/* A status other than 0 from `ready`: the server ends, and says 0. */
static void a_hook_that_is_not_ready_ends_the_server(void)
{
    make_hook("[ $event != ready ]");
    assert_int_equal(server_start_refused(&zdb, (const char *const[]){"--hook", hook, NULL}), 0);
}

/* Hooks that nobody has to wait for do not keep anybody waiting. */
static void a_slow_hook_holds_nobody_up(void)
{
    make_hook("if [ $event = namespace-created ]; then read line <$0.go; fi");
    char go[PATH_MAX + 4];
    (void)snprintf(go, sizeof go, "%s.go", hook);
    assert_int_equal(mkfifo(go, 0600), 0);
    server_start_with(&zdb, "--hook", hook);
    expect_event("namespaces-init");
    expect_event("ready");
    ask(1, "NSNEW a", "+OK");
    expect_event("namespace-created a");
    ask(1, "SET key value", "=key");
    ask(2, "GET key", "=value");
    ask(1, "HOOKS", "");
    size_t size;
    const uint8_t *reply = client_reply(on(1), &size);
    assert_true(size > 4 && reply[0] == '*' && memmem(reply, size, "namespace-created", 17));
    autoclose int free_it = open(go, O_RDWR | O_CLOEXEC);
    assert_int_equal(write(free_it, "\n", 1), 1);
    ask(1, "GET key", "=value");
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(a_hook_is_told_of_namespaces),
        zdb_case(a_hook_is_told_of_jumps),
        zdb_case(a_hook_that_is_not_ready_ends_the_server),
        zdb_case(a_slow_hook_holds_nobody_up),
    };
    return zdb_main(argc, argv, "zdb_hook", cases, array_length(cases));
}
