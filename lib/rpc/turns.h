/*
 * Whose request is worked on next: one user after the other, each for a while; of one user, one
 * connection after the other, each with one request. So what somebody waits for is a while of each
 * other user who asks, and one request of each other connection of his own, however much they send.
 *
 * Pure: the caller measures how long each took. Everything is embedded in what it stands for.
 */
#ifndef LIB_RPC_TURNS_H
#define LIB_RPC_TURNS_H

#include <stddef.h>
#include <stdint.h>

enum { TURNS_WHILE_US = 500 };

/* One request that waits. */
struct turn {
    struct turn *next;
    struct turn_line *line;
};

/* A connection: its requests are answered in the order in which they came. */
struct turn_line {
    struct turn_user *user;
    struct turn_line *next; /* of the user, while requests wait */
    struct turn *first, *last;
};

struct turn_user {
    struct turn_user *next; /* while requests wait */
    struct turn_line *first, *last;
    uint64_t used_us; /* of the while, since his turn began */
};

struct turns {
    struct turn_user *first, *last;
    struct turn_user *taken_of; /* may be gone, unless it is the first */
};

void turns_add(struct turns *turns, struct turn_line *line, struct turn *turn);

/* The next one, which waits no longer; NULL if none does. */
struct turn *turns_take(struct turns *turns);

/* After turns_take(): so long it took. Who has used his while up stands behind the others. */
void turns_charge(struct turns *turns, uint64_t us);

#endif
