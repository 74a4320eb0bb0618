/* The two threads that libstorage's tests talk to. Each is started and joined by the test. */
#include "storage_fixture.h"

#include "event/publisher.h"
#include "rpc/server.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

char fixture_run_dir[64];

/* --- poold ----------------------------------------------------------------------------------- */

static struct {
    pthread_t thread;
    uv_loop_t loop;
    uv_async_t stop;
    uv_timer_t start;
    unsigned after_ms;
    bool listens;
    struct rpc_server *server;
    struct event_publisher *publisher;
    Storage__V1__SpaceService_Service spaces;
    struct rpc_call *hung;
    uint64_t n_calls;
    uid_t uid;
} poold;

static char *in_run_dir(const char *scheme, const char *name)
{
    char *path = NULL;
    assert_true(asprintf(&path, "%s%s/%s", scheme, fixture_run_dir, name) > 0);
    return path;
}

static void publish(unsigned long n)
{
    for (unsigned long i = 0; i < n; i++) {
        Storage__V1__Event event = STORAGE__V1__EVENT__INIT;
        event.topic = (char *)(uintptr_t) "space.reserved";
        event.object = (char *)(uintptr_t) "an object";
        event_publish(poold.publisher, &event);
    }
}

static void reserve(Storage__V1__SpaceService_Service *service,
                    const Storage__V1__ReserveRequest *request, Storage__V1__Space_Closure closure,
                    void *closure_data)
{
    (void)service;
    if (strcmp(request->name, "hang") == 0) {
        poold.hung = closure_data;
        return;
    }
    if (strcmp(request->name, "held") == 0) {
        autoerr struct err err = {0};
        (void)err_set(&err, ERR_FAILED_PRECONDITION, 16, "space-1", "the space is held");
        err_hint(&err, "let it go");
        err_blocker(&err, "process 1");
        err_blocker(&err, "process 2");
        rpc_call_fail(closure_data, &err);
        return;
    }
    if (strncmp(request->name, "burst-", 6) == 0)
        publish(strtoul(request->name + 6, NULL, 10));
    Storage__V1__Space space = STORAGE__V1__SPACE__INIT;
    space.name = request->name;
    space.size_bytes = request->size_bytes;
    space.generation = ++poold.n_calls;
    closure(&space, closure_data);
}

static void open_sockets(uv_timer_t *timer)
{
    static const char *const no_reads[] = {NULL};
    (void)timer;
    autofree char *calls = in_run_dir("ipc://", "poold.sock");
    autofree char *events = in_run_dir("ipc://", "poold.events");
    poold.uid = getuid();
    struct rpc_server_options options = {.loop = &poold.loop,
                                         .url = calls,
                                         .epoch = FIXTURE_EPOCH,
                                         .admins = &poold.uid,
                                         .n_admins = 1};
    struct event_publisher_options publisher = {
        .loop = &poold.loop, .url = events, .worker = "poold", .epoch = FIXTURE_EPOCH};
    assert_int_equal(event_publisher_open(&publisher, &poold.publisher, NULL), 0);
    assert_int_equal(rpc_server_open(&options, &poold.server, NULL), 0);
    storage__v1__space_service__init(&poold.spaces, NULL);
    poold.spaces.base.descriptor = &storage__v1__space_service__descriptor;
    poold.spaces.reserve = reserve;
    assert_int_equal(rpc_server_add(poold.server, &poold.spaces.base, no_reads, NULL), 0);
    assert_int_equal(rpc_server_add(poold.server, event_publisher_service(poold.publisher),
                                    event_publisher_reads, NULL),
                     0);
    assert_int_equal(rpc_server_listen(poold.server, NULL), 0);
    poold.listens = true;
}

static void on_stop(uv_async_t *async)
{
    uv_close((uv_handle_t *)async, NULL);
    uv_close((uv_handle_t *)&poold.start, NULL);
    if (!poold.listens)
        return;
    if (poold.hung)
        rpc_call_refuse(poold.hung, ERR_CANCELLED, "", "the test is over");
    rpc_server_close(poold.server, NULL, NULL);
    event_publisher_close(poold.publisher, NULL, NULL);
}

static void *poold_main(void *data)
{
    (void)data;
    (void)uv_timer_start(&poold.start, open_sockets, poold.after_ms, 0);
    (void)uv_run(&poold.loop, UV_RUN_DEFAULT);
    return NULL;
}

void fixture_start_poold(unsigned after_ms)
{
    memset(&poold, 0, sizeof poold);
    poold.after_ms = after_ms;
    assert_int_equal(uv_loop_init(&poold.loop), 0);
    assert_int_equal(uv_async_init(&poold.loop, &poold.stop, on_stop), 0);
    assert_int_equal(uv_timer_init(&poold.loop, &poold.start), 0);
    assert_int_equal(pthread_create(&poold.thread, NULL, poold_main, NULL), 0);
}

void fixture_stop_poold(void)
{
    (void)uv_async_send(&poold.stop);
    (void)pthread_join(poold.thread, NULL);
    assert_int_equal(uv_loop_close(&poold.loop), 0);
}

/* --- the control socket ---------------------------------------------------------------------- */

static struct {
    pthread_t thread;
    int fd;
    char *path;
    uint8_t reply[4096];
    size_t reply_length;
    Storage__V1__ControlRequest__VerbCase verb;
} control;

static void answer_one(int fd)
{
    uint8_t packet[4096];
    ssize_t length = recv(fd, packet, sizeof packet, 0);
    Storage__V1__ControlRequest *request =
        length > 0 ? storage__v1__control_request__unpack(NULL, (size_t)length, packet) : NULL;
    if (request && request->version == 1) {
        control.verb = request->verb_case;
        (void)send(fd, control.reply, control.reply_length, MSG_NOSIGNAL);
    }
    storage_free(request);
}

/* Ends when the listening socket is shut down. */
static void *control_main(void *data)
{
    (void)data;
    int fd;
    /* cppcheck-suppress nullPointer ; accept(2) allows it */
    while ((fd = accept4(control.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        answer_one(fd);
        (void)close(fd);
    }
    return NULL;
}

void fixture_start_control(const Storage__V1__ControlReply *reply)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    control.path = in_run_dir("", "control.sock");
    control.reply_length = storage__v1__control_reply__get_packed_size(reply);
    assert_true(control.reply_length <= sizeof control.reply);
    (void)storage__v1__control_reply__pack(reply, control.reply);
    assert_true(strlen(control.path) < sizeof address.sun_path);
    memcpy(address.sun_path, control.path, strlen(control.path) + 1);
    control.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(control.fd >= 0);
    assert_int_equal(bind(control.fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(control.fd, 8), 0);
    assert_int_equal(pthread_create(&control.thread, NULL, control_main, NULL), 0);
}

void fixture_stop_control(void)
{
    (void)shutdown(control.fd, SHUT_RDWR);
    (void)pthread_join(control.thread, NULL);
    (void)close(control.fd);
    (void)unlink(control.path);
    free(control.path);
}

Storage__V1__ControlRequest__VerbCase fixture_last_verb(void)
{
    return control.verb;
}

/* --- the run directory ----------------------------------------------------------------------- */

int fixture_setup(void **state)
{
    (void)state;
    (void)snprintf(fixture_run_dir, sizeof fixture_run_dir, "/tmp/storaged-client-XXXXXX");
    return mkdtemp(fixture_run_dir) ? 0 : -1;
}

int fixture_teardown(void **state)
{
    static const char *const sockets[] = {"poold.sock", "poold.events"};
    (void)state;
    for (size_t i = 0; i < array_length(sockets); i++) {
        autofree char *path = in_run_dir("", sockets[i]);
        (void)unlink(path);
    }
    return rmdir(fixture_run_dir);
}
