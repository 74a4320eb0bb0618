/* The Probe service and the loop around it. One thread, but for exchange(). */
#include "rpc_fixture.h"

#include "base/clock.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdio.h>
#include <string.h>

static struct fixture *fixture_of(Test__V1__Probe_Service *service)
{
    return container_of(service, struct fixture, service);
}

static void answer(Test__V1__Probe_Service *service, const Test__V1__Ask *ask,
                   Test__V1__Answer_Closure closure, void *call_data)
{
    Test__V1__Answer reply = TEST__V1__ANSWER__INIT;
    reply.text = ask->text;
    reply.number = ++fixture_of(service)->n_invoked;
    closure(&reply, call_data);
}

static void hold(Test__V1__Probe_Service *service, const Test__V1__Ask *ask,
                 Test__V1__Answer_Closure closure, void *call_data)
{
    (void)ask;
    (void)closure;
    struct fixture *fixture = fixture_of(service);
    fixture->n_invoked++;
    assert_true(fixture->n_held < FIXTURE_HELD_MAX);
    fixture->held[fixture->n_held++] = call_data;
}

/* The text names the code: "busy" is one that passes. */
static void refuse(Test__V1__Probe_Service *service, const Test__V1__Ask *ask,
                   Test__V1__Answer_Closure closure, void *call_data)
{
    (void)closure;
    fixture_of(service)->n_invoked++;
    autoerr struct err err = {0};
    bool busy = strcmp(ask->text, "busy") == 0;
    err_set(&err, busy ? ERR_ABORTED : ERR_FAILED_PRECONDITION, 16, "thing", "the thing is in use");
    err_hint(&err, "stop using it");
    err_blocker(&err, "process 1 (init)");
    err_blocker(&err, "process 2 (kthreadd) at caf\xc3\xa9, and \xff");
    rpc_call_fail(call_data, &err);
}

static void huge(Test__V1__Probe_Service *service, const Test__V1__Ask *ask,
                 Test__V1__Answer_Closure closure, void *call_data)
{
    (void)service;
    Test__V1__Answer reply = TEST__V1__ANSWER__INIT;
    autofree char *text = calloc(1, ask->number + 1);
    assert_non_null(text);
    memset(text, 'x', ask->number);
    reply.text = text;
    closure(&reply, call_data);
}

static void ignore_close(void *data)
{
    ++*(unsigned *)data;
}

void fixture_prepare(struct fixture *fixture)
{
    memset(fixture, 0, sizeof *fixture);
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    strcpy(fixture->folder, "/tmp/storaged-rpc-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->url, sizeof fixture->url, "ipc://%s/probe.sock", fixture->folder);
    fixture->epoch = FIXTURE_EPOCH;
}

void fixture_open(struct fixture *fixture)
{
    fixture_prepare(fixture);
    fixture_serve(fixture);
    fixture->client = fixture_connect(fixture);
}

void fixture_serve(struct fixture *fixture)
{
    static const char *const reads[] = {"Read", "Watch", "Huge", NULL};
    fixture->service = (Test__V1__Probe_Service){
        .base = {&test__v1__probe__descriptor, protobuf_c_service_invoke_internal, NULL},
        .read = answer,
        .change = answer,
        .hold = hold,
        .watch = hold,
        .refuse = refuse,
        .huge = huge,
    };
    struct rpc_server_options options = {
        .loop = &fixture->loop,
        .url = fixture->url,
        .epoch = fixture->epoch,
        .user_connections = fixture->user_connections,
        .user_calls = fixture->user_calls,
    };
    autoerr struct err err = {0};
    assert_int_equal(rpc_server_open(&options, &fixture->server, &err), 0);
    assert_int_equal(rpc_server_add(fixture->server, &fixture->service.base, reads, &err), 0);
    assert_int_equal(rpc_server_listen(fixture->server, &err), 0);
}

void fixture_unserve(struct fixture *fixture)
{
    unsigned closed = 0;
    rpc_server_close(fixture->server, ignore_close, &closed);
    fixture->server = NULL;
    fixture_let_go(fixture, "too late");
    fixture_run_until(fixture, &closed, 1);
}

struct rpc_client *fixture_connect(struct fixture *fixture)
{
    struct rpc_client_options options = {.loop = &fixture->loop, .url = fixture->url};
    struct rpc_client *client;
    autoerr struct err err = {0};
    assert_int_equal(rpc_client_open(&options, &client, &err), 0);
    return client;
}

void fixture_disconnect(struct fixture *fixture, struct rpc_client *client)
{
    unsigned closed = 0;
    rpc_client_close(client, ignore_close, &closed);
    fixture_run_until(fixture, &closed, 1);
}

void fixture_close(struct fixture *fixture)
{
    if (fixture->client)
        fixture_disconnect(fixture, fixture->client);
    if (fixture->server)
        fixture_unserve(fixture);
    assert_int_equal(uv_run(&fixture->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    (void)unlink(fixture->url + strlen("ipc://"));
    assert_int_equal(rmdir(fixture->folder), 0);
}

int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture_open(fixture);
    *state = fixture;
    return 0;
}

int fixture_teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("waited 20 s for what did not come");
}

static void on_pause_over(uv_timer_t *timer)
{
    ++*(unsigned *)timer->data;
}

/* One turn of the loop at a time, with a timer that bounds the wait. */
static void run_timed(struct fixture *fixture, uv_timer_cb expired, unsigned ms,
                      bool (*over)(const struct fixture *fixture, const void *data),
                      const void *data)
{
    unsigned paused = 0, closed = 0;
    uv_timer_t timer;
    uv_timer_init(&fixture->loop, &timer);
    timer.data = &paused;
    uv_update_time(&fixture->loop);
    uv_timer_start(&timer, expired, ms, 0);
    while (!paused && !(over && over(fixture, data)))
        uv_run(&fixture->loop, UV_RUN_ONCE);
    timer.data = &closed;
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
}

struct counter {
    const unsigned *condition;
    unsigned least;
};

static bool counted(const struct fixture *fixture, const void *data)
{
    (void)fixture;
    const struct counter *counter = data;
    return *counter->condition >= counter->least;
}

static bool holds(const struct fixture *fixture, const void *data)
{
    return fixture->n_held >= *(const size_t *)data;
}

void fixture_run_until(struct fixture *fixture, const unsigned *condition, unsigned least)
{
    struct counter counter = {condition, least};
    run_timed(fixture, on_watchdog, 20000, counted, &counter);
}

void fixture_run_until_held(struct fixture *fixture, size_t least)
{
    run_timed(fixture, on_watchdog, 20000, holds, &least);
}

void fixture_run_for(struct fixture *fixture, unsigned ms)
{
    run_timed(fixture, on_pause_over, ms, NULL, NULL);
}

void fixture_let_go(struct fixture *fixture, const char *text)
{
    size_t n = fixture->n_held;
    fixture->n_held = 0;
    for (size_t i = 0; i < n; i++) {
        Test__V1__Answer reply = TEST__V1__ANSWER__INIT;
        reply.text = (char *)text;
        reply.number = fixture->n_invoked;
        /* What protoc-c hands a handler is the transport's closure; rpc_call_reply() is the same.
         */
        rpc_call_reply(fixture->held[i], &reply.base);
    }
}

static void on_done(const struct rpc_result *result, void *data)
{
    struct outcome_seen *seen = data;
    seen->times++;
    seen->epoch = result->epoch;
    err_copy(&seen->err, result->err);
    if (result->output) {
        const Test__V1__Answer *reply = (const Test__V1__Answer *)result->output;
        seen->number = reply->number;
        seen->length = strlen(reply->text);
        snprintf(seen->text, sizeof seen->text, "%s", reply->text);
    }
}

void begin(struct rpc_client *client, const char *method, const char *text,
           const struct rpc_call_options *options, struct outcome_seen *out_seen)
{
    Test__V1__Ask ask = TEST__V1__ASK__INIT;
    ask.text = (char *)text;
    if (strcmp(method, "Huge") == 0)
        ask.number = strtoull(text, NULL, 10);
    err_clear(&out_seen->err);
    *out_seen = (struct outcome_seen){0};
    autoerr struct err err = {0};
    assert_int_equal(rpc_client_call(client, &test__v1__probe__descriptor, method, &ask.base,
                                     options, on_done, out_seen, &err),
                     0);
    assert_int_equal(out_seen->times, 0);
}

void call(struct fixture *fixture, struct rpc_client *client, const char *method, const char *text,
          const struct rpc_call_options *options, struct outcome_seen *out_seen)
{
    begin(client, method, text, options, out_seen);
    fixture_run_until(fixture, &out_seen->times, 1);
    assert_int_equal(out_seen->times, 1);
}

struct exchange {
    const char *url;
    const void *frame;
    size_t length;
    Storage__V1__Reply *reply;
    uv_async_t over;
    unsigned n_over;
};

static void exchange_on_thread(void *data)
{
    struct exchange *exchange = data;
    nng_socket socket;
    void *bytes;
    size_t length;
    assert_int_equal(nng_req0_open(&socket), 0);
    assert_int_equal(nng_socket_set_ms(socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE), 0);
    assert_int_equal(nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, 10000), 0);
    assert_int_equal(nng_dial(socket, exchange->url, NULL, 0), 0);
    assert_int_equal(nng_send(socket, (void *)exchange->frame, exchange->length, 0), 0);
    if (nng_recv(socket, &bytes, &length, NNG_FLAG_ALLOC) == 0) {
        exchange->reply = storage__v1__reply__unpack(NULL, length, bytes);
        nng_free(bytes, length);
    }
    nng_close(socket);
    uv_async_send(&exchange->over);
}

static void on_exchange_over(uv_async_t *async)
{
    struct exchange *exchange = async->data;
    exchange->n_over++;
}

Storage__V1__Reply *exchange(struct fixture *fixture, const void *frame, size_t length)
{
    struct exchange exchange = {.url = fixture->url, .frame = frame, .length = length};
    uv_thread_t thread;
    uv_async_init(&fixture->loop, &exchange.over, on_exchange_over);
    exchange.over.data = &exchange;
    assert_int_equal(uv_thread_create(&thread, exchange_on_thread, &exchange), 0);
    fixture_run_until(fixture, &exchange.n_over, 1);
    uv_thread_join(&thread);
    uv_close((uv_handle_t *)&exchange.over, NULL);
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    return exchange.reply;
}

Storage__V1__Reply *exchange_call(struct fixture *fixture, const Storage__V1__Call *envelope)
{
    size_t length = storage__v1__call__get_packed_size(envelope);
    autofree uint8_t *frame = malloc(length + 1);
    assert_non_null(frame);
    storage__v1__call__pack(envelope, frame);
    return exchange(fixture, frame, length);
}
