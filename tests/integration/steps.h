/* The seam of base/step.h, as a test sees it: a program of a node is killed when it has taken the
 * steps that it was allowed. */
#ifndef TESTS_INTEGRATION_STEPS_H
#define TESTS_INTEGRATION_STEPS_H

#include "harness.h"

struct steps;

/* harness_main() of a test that counts steps: where the build has no seams, it is skipped and says
 * why. */
int steps_main(int argc, char **argv, const char *group, const struct harness_case *cases,
               size_t n_cases);

/* Watches a program of the node from its next node_spawn() on; nobody is killed yet. One at a time.
 */
struct steps *steps_watch(struct node *node, const char *program);
/* Frees it; no node is watched any more that is spawned after this. */
void steps_forget(struct steps *steps);

/* The program is killed at its n-th step from now on, the first being 1; the next one of its name
 * goes on unharmed. */
void steps_allow(struct steps *steps, unsigned n);
/* It has taken them all, and was killed. */
bool steps_are_over(const struct steps *steps);
/* Waits until it has no more than n left. */
void steps_wait(const struct steps *steps, unsigned n);
/* How many it has left. */
unsigned steps_left(const struct steps *steps);
/* What is left is left: nobody is killed. */
void steps_spare(struct steps *steps);

#endif
