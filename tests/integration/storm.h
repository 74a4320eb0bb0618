/*
 * The busy clients of a storm, each a thread with a journal of what was acknowledged to it. A call
 * that ends because somebody died is made again, with the same name or request id, until it is
 * answered; what it then finds is held against the journal.
 */
#ifndef TESTS_INTEGRATION_STORM_H
#define TESTS_INTEGRATION_STORM_H

#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>

enum { STORM_SLOTS = 8 };

struct storm_space {
    char id[40]; /* acknowledged and not released; "" when the slot is free */
    char key[48];
    bool named; /* the key is its name, else the request id that made it */
    uint64_t size_bytes;
};

struct storm_client {
    pthread_t thread;
    struct storage *storage;
    atomic_bool *stop; /* set also by the first client that is in trouble */
    unsigned number, serial;
    bool waits; /* its handle tries again by itself */
    uint64_t random;
    struct storm_space slots[STORM_SLOTS];
    unsigned reserved, released, gets, lists, again;
    uint64_t longest_ms; /* a call with all its repetitions */
    char trouble[768];   /* "": none */
};

/* `client` is zeroed but for number, random and stop, and stays where it is until it has ended. */
void storm_client_start(struct storm_client *client, const struct node *node);
/* `stop` is set; `trouble` is for the caller to look at. */
void storm_client_join(struct storm_client *client);

/* Asks for what the slot holds once more, as a new caller would: it must be found, not made. */
void storm_find_again(struct storage *storage, const struct storm_space *slot);

#endif
