/* What clients may cost; --help states the sum. */
#ifndef WORKERS_ZDB_LIMITS_H
#define WORKERS_ZDB_LIMITS_H

enum {
    LIMITS_MIB = 1 << 20,
    LIMITS_CLIENTS = 65536,
    /* One client. */
    LIMITS_OUT_PAUSE = 8 * LIMITS_MIB, /* with so much to be read it is not read from */
    LIMITS_OUT_REPLY = 8 * LIMITS_MIB + (64 << 10), /* the longest one with a value */
    LIMITS_OUT_SHORT = 64 << 10,                    /* what is longer waits for room */
    LIMITS_OUT_CLOSE = 64 * LIMITS_MIB, /* with so much (by MIRROR alone) it is let go */
    LIMITS_IN_SMALL = 64 << 10,         /* a request that is longer needs a share of the budget, */
    LIMITS_IN_SHARE = (9 * LIMITS_MIB) + (64 << 10), /* of so much */
    /* All clients. */
    LIMITS_MEMORY_MIB = 1216,
    LIMITS_MEMORY_LEAST_MIB = 128,
    LIMITS_MEMORY_REST = 64 * LIMITS_MIB, /* of it, for clients themselves and one reply */
    /* Who holds what others wait for moves so much in that time, or is let go. */
    LIMITS_MOVE_LEAST = 320 << 10,
    LIMITS_STALL_MS = 5000,
};

#endif
