/* Calls that change nothing: against a bare nng echo, and against encoding what they carry. */
#include "suites.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <signal.h>
#include <stdio.h>

enum { CALLS = 4000, ECHO_BYTES = 200, LIST_SPACES = 10000, LIST_ROUNDS = 20 };

static void must(int rv, const char *what)
{
    if (rv != 0)
        fail_msg("echo: %s: %s", what, nng_strerror(rv));
}

/* The floor's server: a process of its own, as a worker is. */
int echo_main(const char *url)
{
    nng_socket socket;
    if (nng_rep0_open(&socket) != 0 || nng_listen(socket, url, NULL, 0) != 0)
        return 1;
    for (;;) {
        nng_msg *msg;
        if (nng_recvmsg(socket, &msg, 0) != 0)
            return 0;
        if (nng_sendmsg(socket, msg, 0) != 0)
            nng_msg_free(msg);
    }
}

static void echo_once(nng_socket socket)
{
    nng_msg *msg;
    must(nng_msg_alloc(&msg, ECHO_BYTES), "message");
    must(nng_sendmsg(socket, msg, 0), "send");
    must(nng_recvmsg(socket, &msg, 0), "receive");
    nng_msg_free(msg);
}

static void measure_get(struct node *node, const char *id)
{
    autofree char *url = path_format("ipc://%s/echo", harness_dir());
    struct command command = {.argv = {"/proc/self/exe", "--echo", url}};
    pid_t server = command_spawn(&command, STDOUT_FILENO, STDERR_FILENO);
    nng_socket socket;
    must(nng_req0_open(&socket), "open");
    must(nng_dial(socket, url, NULL, NNG_FLAG_NONBLOCK), "dial");
    struct samples ours = {0}, bare = {0};
    for (int i = 0; i < CALLS; i++) {
        uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
        echo_once(socket);
        double echo_us = 1e3 * bench_ms_since(start);
        autoerr struct err err = {0};
        autoreply Storage__V1__Space *space = NULL;
        start = clock_read_ns(CLOCK_MONOTONIC);
        assert_ok(call_get(node->storage, id, &space, &err), &err);
        double get_us = 1e3 * bench_ms_since(start);
        if (i >= CALLS / 10) { /* warm */
            samples_add(&bare, echo_us);
            samples_add(&ours, get_us);
        }
    }
    report_row("read_get", samples_p50(&ours), samples_p50(&bare), "us", "<=1.4");
    (void)nng_close(socket);
    (void)kill(server, SIGKILL);
    (void)child_wait(server);
    samples_free(&ours);
    samples_free(&bare);
}

/* One whole listing; what it costs to encode and decode its pages is added to *out_coding_ms. */
static double list_all(struct node *node, double *out_coding_ms)
{
    uint64_t coding_ns = 0;
    uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
    char *token = path_format("%s", "");
    size_t n = 0;
    do {
        Storage__V1__SpaceListRequest request = STORAGE__V1__SPACE_LIST_REQUEST__INIT;
        request.page_token = token;
        autoerr struct err err = {0};
        autoreply Storage__V1__SpaceListReply *page = NULL;
        assert_ok(
            storage_call(node->storage, "storage.v1.SpaceService/List", &request, &page, &err),
            &err);
        n += page->n_spaces;
        uint64_t before = clock_read_ns(CLOCK_MONOTONIC);
        size_t size = storage__v1__space_list_reply__get_packed_size(page);
        autofree uint8_t *packed = malloc(size);
        (void)storage__v1__space_list_reply__pack(page, packed);
        storage_free(storage__v1__space_list_reply__unpack(NULL, size, packed));
        coding_ns += clock_read_ns(CLOCK_MONOTONIC) - before;
        free(token);
        token = path_format("%s", page->next_page_token);
    } while (*token);
    free(token);
    assert_true(n >= LIST_SPACES);
    *out_coding_ms = (double)coding_ns / 1e6;
    return bench_ms_since(start) - *out_coding_ms;
}

static void measure_list(struct node *node)
{
    struct samples ours = {0}, coding = {0};
    for (int i = 0; i < LIST_ROUNDS; i++) {
        double coding_ms;
        samples_add(&ours, list_all(node, &coding_ms));
        samples_add(&coding, coding_ms);
    }
    double p50 = samples_p50(&ours);
    report_row("list_10000_against_coding", p50, samples_p50(&coding), "ms", "");
    report_row("list_10000_against_40_ms", p50, 40, "ms", "<=1");
    samples_free(&ours);
    samples_free(&coding);
}

void suite_reads(void)
{
    struct node *node = bench_node(disk_create(48 * GiB, DISK_SSD));
    node_start(node);
    node_wait_cache(node, true);
    if (report_wants("read_get")) {
        autoreply Storage__V1__Space *space =
            must_reserve(node, "one", STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD, MiB);
        measure_get(node, space->id);
    }
    if (report_wants("list_10000")) {
        (void)bench_reserve_many(node, 64, LIST_SPACES);
        measure_list(node);
    }
}
