/*
 * A load on a server that speaks RESP: one thread, one epoll, requests that are made beforehand
 * and of which only keys and the first bytes of values change. Every value is another one. Each
 * client sends a batch, reads its replies, and sends the next.
 */
#ifndef BENCH_ZDB_LOAD_H
#define BENCH_ZDB_LOAD_H

#include "report.h"
#include "zdb_server.h"

enum { LOAD_CLIENTS_MAX = 64, LOAD_KEY_BYTES = 16 };

struct load {
    const struct kv_server *server;
    bool set;        /* else GET, of keys that are there */
    bool sequential; /* SET of new ids */
    unsigned clients, pipeline;
    uint32_t value_bytes;
    char kind;     /* of key: kinds are apart */
    uint32_t keys; /* at random among so many; a fill takes each of them once */
    unsigned ms;   /* so long; 0: a fill */
};

struct load_result {
    uint64_t operations;
    double rate; /* a second */
};

/* `latencies`: where each batch's microseconds go, or NULL. A reply that is not the one to expect
 * fails the bench. */
struct load_result load_run(const struct load *load, struct samples *latencies_us);
/* Every key once. */
void load_fill(const struct kv_server *server, char kind, uint32_t keys, uint32_t value_bytes);

#endif
