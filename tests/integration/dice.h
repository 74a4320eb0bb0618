/* Chance that can be had again: a seed that is printed, and numbers that follow from it alone. */
#ifndef TESTS_INTEGRATION_DICE_H
#define TESTS_INTEGRATION_DICE_H

#include "base/clock.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static inline uint64_t dice(uint64_t *random, uint64_t sides)
{
    *random ^= *random << 13; /* xorshift64: Marsaglia, 2003 */
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random % sides;
}

static inline unsigned long number_from_environment(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : otherwise;
}

/* STORAGED_TEST_SEED makes a test go as it once went. */
static inline uint64_t dice_seed(void)
{
    uint64_t seed = number_from_environment("STORAGED_TEST_SEED", clock_realtime_us());
    (void)fprintf(stderr, "STORAGED_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed ? seed : 1;
}

#endif
