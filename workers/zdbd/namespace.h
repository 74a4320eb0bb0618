/*
 * Namespaces: one for each booking, found by id and by name. Of the loop.
 *
 * What is in `noted` was acknowledged by poold. An order (order.h) that works on a namespace has it
 * to itself; what a list of poold's says of it in the meantime is older or newer than the order,
 * and is passed over.
 */
#ifndef WORKERS_ZDBD_NAMESPACE_H
#define WORKERS_ZDBD_NAMESPACE_H

#include "base/uuid.h"
#include "note.h"
#include "storage/v1/booking.pb-c.h"

struct order;
struct pool;

enum namespace_phase {
    NAMESPACE_MAKING, /* an order makes it, or undoes that: nobody is told, its name is taken */
    NAMESPACE_UNDONE, /* it was never acknowledged: what is left of it goes */
    NAMESPACE_LIVE,
    NAMESPACE_DYING, /* released, durably: what is left of it goes */
};

/* What its 0-db was found to have when it came up last. */
enum namespace_presence {
    NAMESPACE_UNSEEN, /* it was not asked yet, or only lists it */
    NAMESPACE_THERE,  /* as it was noted */
    NAMESPACE_MISSING,
    NAMESPACE_BROKEN, /* out of service: `trouble` */
};

struct namespace
{
    char id[UUID_TEXT_SIZE];
    struct pool *pool; /* NULL: not booked yet */
    enum namespace_phase phase;
    enum namespace_presence presence;
    struct note noted;
    uint64_t size_bytes, created_us, generation;
    uint64_t limit_bytes;                /* booked: size, and what a 0-db needs beside it */
    struct order *order;                 /* that works on it */
    Storage__V1__ZDBNamespaceState told; /* the last state that subscribers heard of */
    bool misaligned;                     /* its 0-db may not have been told what is noted */
    char *trouble;                       /* owned */
    bool strange;                 /* its note is none of ours: it is listed, and left alone */
    struct namespace *next_named; /* whose name falls into the same bucket */
};

/* Zero-initialise. */
struct namespaces {
    struct namespace **by_id; /* ascending */
    size_t n, room;
    struct namespace **named; /* `room` buckets of those that have a name */
};

/* What the 0-db calls it. */
const char *namespace_zdb_name(const struct namespace *space);

struct namespace *namespaces_find(const struct namespaces *all, const char *id);
/* By the caller's name, among those that are there or being made; pools that met later may carry
 * the same: then the one with the lowest id. */
struct namespace *namespaces_find_name(const struct namespaces *all, const char *name);
/* Whether one is being removed, whose bytes are booked until then: from this pool, or from any of
 * the type if it is NULL. */
bool namespaces_one_ends(const struct namespaces *all, const struct pool *pool,
                         Storage__V1__DiskType type);
/* The first whose id is greater than `id`, as an index into by_id. */
size_t namespaces_after(const struct namespaces *all, const char *id);

/* A new one under an id that is free, of phase MAKING; NULL without memory. */
struct namespace *namespaces_add(struct namespaces *all, const char *id);
/* Takes it out and frees it. No order may work on it. */
void namespaces_drop(struct namespaces *all, struct namespace *space);
void namespaces_free(struct namespaces *all);

/* BROKEN for that reason, or THERE if it is empty. */
void namespace_find_trouble(struct namespace *space, const char *trouble);

/* What is noted of it, and what it is found by. */
void namespaces_note(struct namespaces *all, struct namespace *space, const struct note *note);
/* What poold says of its booking, the phase included. */
void namespaces_learn(struct namespaces *all, struct namespace *space, struct pool *pool,
                      const Storage__V1__Booking *booking);

#endif
