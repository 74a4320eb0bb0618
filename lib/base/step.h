/*
 * Steps: a seam before and after every system call that changes a disk or a mount, so that a test
 * can stop the process between any two of them. Costs one load and one branch where no one looks.
 *
 * In builds with STORAGED_SEAMS, STORAGED_STEPS=<program>:<path> in the environment names a file
 * that holds one long, the steps that the program has left: each step takes one, and who takes the
 * last one kills itself. Below zero nobody is killed, so a successor goes on, and so does who
 * starts at zero. Whoever maps the file can read how far it came, and set it at any time.
 */
#ifndef LIB_BASE_STEP_H
#define LIB_BASE_STEP_H

#include <stddef.h>

/* NULL: nobody looks. Set before the first thread; must keep errno. */
extern void (*step_hook)(void);

/* For a change that is not a call's alone, like a child's. */
static inline void step(void)
{
    if (step_hook)
        step_hook();
}

#define step_around(call)                                                                          \
    ({                                                                                             \
        step();                                                                                    \
        __typeof__(call) result_ = (call);                                                         \
        step();                                                                                    \
        result_;                                                                                   \
    })

#endif
