/* Namespaces: an array sorted by id; names are looked up along it, which is rare (Reserve, Get). */
#include "namespace.h"

#include "base/log.h"
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *namespace_zdb_name(const struct namespace *space)
{
    return space->noted.zdb_name[0] ? space->noted.zdb_name : space->id;
}

/* The first whose id is not less. */
static size_t position(const struct namespaces *all, const char *id)
{
    size_t low = 0, high = all->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(all->by_id[middle]->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct namespace *namespaces_find(const struct namespaces *all, const char *id)
{
    size_t at = position(all, id);
    return at < all->n && strcmp(all->by_id[at]->id, id) == 0 ? all->by_id[at] : NULL;
}

size_t namespaces_after(const struct namespaces *all, const char *id)
{
    size_t at = position(all, id);
    return at < all->n && strcmp(all->by_id[at]->id, id) == 0 ? at + 1 : at;
}

struct namespace *namespaces_find_name(const struct namespaces *all, const char *name)
{
    for (size_t i = 0; i < all->n; i++) {
        struct namespace *space = all->by_id[i];
        bool is_there = space->phase == NAMESPACE_LIVE || space->phase == NAMESPACE_MAKING;
        if (is_there && strcmp(space->noted.name, name) == 0)
            return space;
    }
    return NULL;
}

struct namespace *namespaces_add(struct namespaces *all, const char *id)
{
    if (all->n == all->room) {
        size_t room = all->room ? all->room * 2 : 64;
        struct namespace **grown = reallocarray(all->by_id, room, sizeof *grown);
        if (!grown)
            return NULL;
        all->by_id = grown;
        all->room = room;
    }
    struct namespace *space = calloc(1, sizeof *space);
    if (!space)
        return NULL;
    (void)snprintf(space->id, sizeof space->id, "%s", id);
    size_t at = position(all, id);
    memmove(&all->by_id[at + 1], &all->by_id[at], (all->n - at) * sizeof(struct namespace *));
    all->by_id[at] = space;
    all->n++;
    return space;
}

static void free_one(struct namespace *space)
{
    free(space->trouble);
    free(space);
}

void namespaces_drop(struct namespaces *all, struct namespace *space)
{
    size_t at = position(all, space->id);
    all->n--;
    memmove(&all->by_id[at], &all->by_id[at + 1], (all->n - at) * sizeof(struct namespace *));
    free_one(space);
}

void namespaces_free(struct namespaces *all)
{
    for (size_t i = 0; i < all->n; i++)
        free_one(all->by_id[i]);
    free(all->by_id);
    *all = (struct namespaces){0};
}

void namespace_find_trouble(struct namespace *space, const char *trouble)
{
    free(space->trouble);
    space->trouble = *trouble ? strdup(trouble) : NULL;
    space->presence = *trouble ? NAMESPACE_BROKEN : NAMESPACE_THERE;
}

void namespace_learn(struct namespace *space, struct pool *pool,
                     const Storage__V1__Booking *booking)
{
    struct err err = {0};
    space->pool = pool;
    space->size_bytes = booking->size_bytes;
    space->limit_bytes = booking->limit_bytes;
    space->created_us = booking->created_us;
    space->generation = booking->generation;
    bool was_strange = space->strange;
    space->strange = note_unpack(booking->note.data, booking->note.len, &space->noted, &err) < 0;
    if (space->strange && !was_strange)
        log_line(LOG_WARNING, "a booking is left alone", "booking", space->id, "reason",
                 err.message, (char *)NULL);
    err_clear(&err);
    if (space->strange)
        space->phase = NAMESPACE_LIVE;
    else if (space->noted.dying)
        space->phase = NAMESPACE_DYING;
    else if (booking->state == STORAGE__V1__BOOKING_STATE__BOOKING_STATE_PENDING)
        space->phase = space->order ? NAMESPACE_MAKING : NAMESPACE_UNDONE;
    else if (booking->state == STORAGE__V1__BOOKING_STATE__BOOKING_STATE_LIVE)
        space->phase = NAMESPACE_LIVE;
    /* FAILED, for its pool is not mounted, hides which of the two it is: it stays what it was, and
     * one that was not known is shown. */
    else if (space->phase == NAMESPACE_MAKING)
        space->phase = NAMESPACE_LIVE;
}
