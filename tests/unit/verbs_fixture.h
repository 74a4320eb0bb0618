/*
 * What the control socket's verbs act on, without processes: wards and the stop only count what is
 * asked of them. The ward named "poold" refuses, as one that is being stopped.
 */
#ifndef TESTS_UNIT_VERBS_FIXTURE_H
#define TESTS_UNIT_VERBS_FIXTURE_H

#include "supervisor.h"

enum { VERBS_ADMIN = 1000, VERBS_STRANGER = 1001 };

struct verbs_asked {
    unsigned restarts, resets, shutdowns;
};
extern struct verbs_asked verbs_asked;

/* A supervisor of diskd and poold, with one admin beside root; nothing was asked yet. */
struct supervisor verbs_fixture_make(void);

#endif
