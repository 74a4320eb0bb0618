/*
 * Clients that reserve, write and release without pause, and the book of what they were told.
 *
 * Every line of the book carries stamps of one clock, which counts what was asked and what was
 * acknowledged. What is stamped before a cut has happened before it.
 */
#ifndef TESTS_INTEGRATION_POWERLOAD_H
#define TESTS_INTEGRATION_POWERLOAD_H

#include "harness.h"

#include <pthread.h>

enum { LOAD_CLIENTS = 6, LOAD_SLOTS = 8, LOAD_LINES_MAX = 16384 };

/* Stamps are 0 until it happens. The texts stand from `reserved` on. */
struct load_line {
    char name[32], id[40], pool[40], path[HARNESS_PATH_MAX];
    uint64_t size_bytes, limit_bytes;
    uint64_t asked, reserved, refused;
    uint64_t written; /* its file `tag`, which holds its id, was fsynced */
    uint64_t release_asked, released;
};

struct load {
    pthread_mutex_t lock;
    pthread_cond_t ticked;
    uint64_t clock;
    bool stopping;
    char trouble[256]; /* the first call that failed without a reason to */
    unsigned n_names;
    size_t n_lines;
    struct load_line *lines[LOAD_LINES_MAX];
    struct load_client {
        struct load *load;
        struct storage *storage;
        pthread_t thread;
        uint64_t random;
        struct load_line *slots[LOAD_SLOTS]; /* NULL: free */
    } clients[LOAD_CLIENTS];
};

uint64_t dice(uint64_t *random, uint64_t sides);

struct load *load_create(uint64_t seed);
/* All clients at once, against this node, until they are stopped. */
void load_start(struct load *load, const struct node *node);
/* Nothing is under way afterwards; fails the test if a call failed that must not. */
void load_stop(struct load *load);
/* The clock now; also lets `n` more stamps pass first. */
uint64_t load_stamp(struct load *load, uint64_t n);
/* Tears out the lines of what is long released. */
void load_forget(struct load *load);
/* NULL: nobody asked for it. */
struct load_line *load_find(struct load *load, const char *name);
void load_free(struct load *load);

#endif
