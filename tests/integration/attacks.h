/*
 * What somebody who may connect can do to a socket of the node, each as one row of a table: to
 * which kind of socket, how, and what he must get for it.
 */
#ifndef TESTS_INTEGRATION_ATTACKS_H
#define TESTS_INTEGRATION_ATTACKS_H

#include "raw.h"

enum attack_kind { ATTACK_REQUESTS, ATTACK_EVENTS, ATTACK_CONTROL };

enum {
    ATTACK_STRANGER = 4711, /* in no group of ours */
    ATTACK_READER = 4712,   /* in the group, and no admin */
    ATTACK_CROWD = 1000,
};

struct attack {
    const char *name;
    enum attack_kind kind;
    /* Fails the test when the socket does not answer as it should. */
    void (*run)(const struct node *node, enum raw_door door, const void *detail);
    const void *detail;
    bool slow; /* once is enough where the quick ones are repeated */
};

extern const struct attack attacks[];
extern const size_t n_attacks;

/* Runs it, and then somebody who comes with a question is let in and answered. That also has one
 * attack follow the other no faster than the socket gets over them. */
void attack_once(const struct node *node, enum raw_door door, const struct attack *attack);

enum attack_kind attack_kind_of(enum raw_door door);

#endif
