/*
 * A table of slots without a lock, since a signal handler reads it. A slot belongs to the thread
 * that took it by putting its descriptor there; its turn counts who had it, so that one that hangs
 * is told from one that is merely busy.
 */
#include "base/keep.h"

#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

struct slot {
    atomic_int fd_plus_one; /* 0: free */
    atomic_uint turn;
};

static struct slot slots[KEEP_MAX];
static atomic_int used; /* slots beyond were never taken */

int keep_begin(int fd)
{
    for (int i = 0; i < KEEP_MAX; i++) {
        int nobody = 0;
        if (!atomic_compare_exchange_strong(&slots[i].fd_plus_one, &nobody, fd + 1))
            continue;
        (void)atomic_fetch_add(&slots[i].turn, 1);
        int seen = atomic_load(&used);
        while (seen <= i && !atomic_compare_exchange_weak(&used, &seen, i + 1))
            ;
        return i;
    }
    return KEEP_NONE;
}

void keep_end(int kept)
{
    if (kept != KEEP_NONE)
        atomic_store(&slots[kept].fd_plus_one, 0);
}

/* The lowest descriptor at or above `first` whose slot has not moved on; -1 if there is none. */
static int next_hung(const unsigned *turns, int n, int first)
{
    int lowest = -1;
    for (int i = 0; i < n; i++) {
        int fd = atomic_load(&slots[i].fd_plus_one) - 1;
        if (fd >= first && atomic_load(&slots[i].turn) == turns[i] && (lowest < 0 || fd < lowest))
            lowest = fd;
    }
    return lowest;
}

void keep_close_others(int first)
{
    unsigned turns[KEEP_MAX];
    int n = atomic_load(&used);
    for (int i = 0; i < n; i++)
        turns[i] = atomic_load(&slots[i].turn);
    if (next_hung(turns, n, first) >= 0)
        (void)poll(NULL, 0, KEEP_HUNG_MS);
    for (int hung; (hung = next_hung(turns, n, first)) >= 0; first = hung + 1)
        if (hung > first)
            (void)close_range((unsigned)first, (unsigned)hung - 1, 0);
    (void)close_range((unsigned)first, ~0u, 0);
}
