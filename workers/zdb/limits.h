/* What clients may cost; --help states the sum. */
#ifndef WORKERS_ZDB_LIMITS_H
#define WORKERS_ZDB_LIMITS_H

enum {
    LIMITS_MIB = 1 << 20,
    LIMITS_CLIENTS = 65536,
    /* One client. */
    LIMITS_OUT_PAUSE = 8 * LIMITS_MIB,  /* with so much to be read it is not read from */
    LIMITS_OUT_CLOSE = 64 * LIMITS_MIB, /* with so much (by MIRROR alone) it is let go */
    LIMITS_REPLY = 16 * LIMITS_MIB,     /* the payloads of one MGET */
    LIMITS_IN_SMALL = 64 << 10,         /* a request that is longer needs a share of the budget */
    /* All clients. */
    LIMITS_IN_MIB = 576,
    LIMITS_OUT_MIB = 576,
    LIMITS_MEMORY_MIB = LIMITS_IN_MIB + LIMITS_OUT_MIB + 64,
    LIMITS_STALL_MS = 10000, /* who holds others up so long without moving is let go */
};

#endif
