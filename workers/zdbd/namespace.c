/* Namespaces: an array sorted by id, and buckets of names, as many as the array has room for. */
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

/* ---- names ---- */

static struct namespace **bucket_of(const struct namespaces *all, const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *at = name; *at; at++)
        hash = (hash ^ (uint8_t)*at) * 16777619u;
    return &all->named[hash % all->room];
}

static void enter_name(struct namespaces *all, struct namespace *space)
{
    struct namespace **bucket = bucket_of(all, space->noted.name);
    if (!*space->noted.name)
        return;
    space->next_named = *bucket;
    *bucket = space;
}

static void leave_name(struct namespaces *all, struct namespace *space)
{
    struct namespace **at = bucket_of(all, space->noted.name);
    while (*at && *at != space)
        at = &(*at)->next_named;
    if (*at)
        *at = space->next_named;
}

void namespaces_note(struct namespaces *all, struct namespace *space, const struct note *note)
{
    leave_name(all, space);
    space->noted = *note;
    enter_name(all, space);
}

struct namespace *namespaces_find_name(const struct namespaces *all, const char *name)
{
    struct namespace *space = all->room ? *bucket_of(all, name) : NULL, *found = NULL;
    for (; space; space = space->next_named) {
        bool is_there = space->phase == NAMESPACE_LIVE || space->phase == NAMESPACE_MAKING;
        if (is_there && strcmp(space->noted.name, name) == 0 &&
            (!found || strcmp(space->id, found->id) < 0))
            found = space;
    }
    return found;
}

bool namespaces_one_ends(const struct namespaces *all, const struct pool *pool,
                         Storage__V1__DiskType type)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct namespace *space = all->by_id[i];
        bool ends = space->phase == NAMESPACE_UNDONE || space->phase == NAMESPACE_DYING;
        if (ends && space->pool && (pool ? space->pool == pool : space->pool->disk_type == type))
            return true;
    }
    return false;
}

/* ---- life ---- */

static bool grow(struct namespaces *all)
{
    size_t room = all->room ? all->room * 2 : 64;
    struct namespace **grown = reallocarray(all->by_id, room, sizeof *grown);
    if (grown)
        all->by_id = grown;
    struct namespace **named = grown ? calloc(room, sizeof(struct namespace *)) : NULL;
    if (!named)
        return false;
    free(all->named);
    all->named = named;
    all->room = room;
    for (size_t i = 0; i < all->n; i++)
        enter_name(all, all->by_id[i]);
    return true;
}

struct namespace *namespaces_add(struct namespaces *all, const char *id)
{
    if (all->n == all->room && !grow(all))
        return NULL;
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
    leave_name(all, space);
    all->n--;
    memmove(&all->by_id[at], &all->by_id[at + 1], (all->n - at) * sizeof(struct namespace *));
    free_one(space);
}

void namespaces_free(struct namespaces *all)
{
    for (size_t i = 0; i < all->n; i++)
        free_one(all->by_id[i]);
    free(all->by_id);
    free(all->named);
    *all = (struct namespaces){0};
}

void namespace_find_trouble(struct namespace *space, const char *trouble)
{
    free(space->trouble);
    space->trouble = *trouble ? strdup(trouble) : NULL;
    space->presence = *trouble ? NAMESPACE_BROKEN : NAMESPACE_THERE;
}

void namespaces_learn(struct namespaces *all, struct namespace *space, struct pool *pool,
                      const Storage__V1__Booking *booking)
{
    struct err err = {0};
    struct note note;
    space->pool = pool;
    space->size_bytes = booking->size_bytes;
    space->limit_bytes = booking->limit_bytes;
    space->created_us = booking->created_us;
    space->generation = booking->generation;
    bool was_strange = space->strange;
    space->strange = note_unpack(booking->note.data, booking->note.len, &note, &err) < 0;
    if (!space->strange)
        namespaces_note(all, space, &note);
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
