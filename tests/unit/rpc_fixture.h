/*
 * What the transport's tests share: a temporary folder, a loop with a watchdog, a server with the
 * Probe service on it, and calls that run the loop until their answer.
 */
#ifndef TESTS_RPC_FIXTURE_H
#define TESTS_RPC_FIXTURE_H

#include "base/cleanup.h"
#include "probe.pb-c.h"
#include "rpc/client.h"
#include "rpc/server.h"
#include "storage/v1/rpc.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
/* cmocka.h wants the three above. */
#include <cmocka.h>

enum { FIXTURE_EPOCH = 77, FIXTURE_HELD_MAX = RPC_PARKED_MAX + 8 };

struct fixture {
    uv_loop_t loop;
    char folder[64];
    char url[96];
    uint64_t epoch;
    uint32_t user_connections, user_calls; /* the server's limits; 0: its own */
    struct rpc_server *server;
    struct rpc_client *client;
    Test__V1__Probe_Service service;
    struct rpc_call *held[FIXTURE_HELD_MAX]; /* in Hold and Watch */
    size_t n_held;
    size_t n_invoked;
};

/* One call's end. */
struct outcome_seen {
    unsigned times;
    struct err err;
    uint64_t epoch;
    uint64_t number;
    size_t length;
    char text[256];
};

/* A folder and a loop; then a server in it, and a client. */
void fixture_prepare(struct fixture *fixture);
void fixture_open(struct fixture *fixture);
void fixture_close(struct fixture *fixture);
/* The same around a test, whose state is the fixture. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
#define with_server(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

void fixture_serve(struct fixture *fixture);
void fixture_unserve(struct fixture *fixture);
struct rpc_client *fixture_connect(struct fixture *fixture);
void fixture_disconnect(struct fixture *fixture, struct rpc_client *client);

/* Runs the loop until `*condition` is at least `least`; the test fails after 20 s. */
void fixture_run_until(struct fixture *fixture, const unsigned *condition, unsigned least);
void fixture_run_until_held(struct fixture *fixture, size_t least);
void fixture_run_for(struct fixture *fixture, unsigned ms);

/* Answers what is held, with this text. */
void fixture_let_go(struct fixture *fixture, const char *text);

void begin(struct rpc_client *client, const char *method, const char *text,
           const struct rpc_call_options *options, struct outcome_seen *out_seen);
void call(struct fixture *fixture, struct rpc_client *client, const char *method, const char *text,
          const struct rpc_call_options *options, struct outcome_seen *out_seen);

/* What a program without our client would do: one frame out, one reply in, on a thread of its own.
 * Returns NULL when the connection was closed instead. Free with
 * storage__v1__reply__free_unpacked(). */
Storage__V1__Reply *exchange(struct fixture *fixture, const void *frame, size_t length);
Storage__V1__Reply *exchange_call(struct fixture *fixture, const Storage__V1__Call *envelope);

#endif
