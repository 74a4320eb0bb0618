/*
 * Steps: a seam before and after every system call that changes a disk or a mount, so that a test
 * can stop the process between any two of them. Costs one load and one branch where no one looks.
 *
 * In builds with STORAGED_SEAMS, STORAGED_STOP_AT_STEP=<n> in the environment makes the process
 * kill itself at its n-th step, the first being 1.
 */
#ifndef WORKERS_POOLD_STEP_H
#define WORKERS_POOLD_STEP_H

#include <stddef.h>

/* NULL: nobody looks. Set before the first thread; must keep errno. */
extern void (*step_hook)(void);

#define step_around(call)                                                                          \
    ({                                                                                             \
        if (step_hook)                                                                             \
            step_hook();                                                                           \
        __typeof__(call) result_ = (call);                                                         \
        if (step_hook)                                                                             \
            step_hook();                                                                           \
        result_;                                                                                   \
    })

#endif
