/* The seam of step.h. Nothing but a pointer, and where tests run, the one who may set it. */
#include "step.h"

void (*step_hook)(void);

#ifdef STORAGED_SEAMS
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

static _Atomic long steps_left;

static void count_down(void)
{
    if (--steps_left == 0)
        (void)raise(SIGKILL);
}

__attribute__((constructor)) static void read_environment(void)
{
    const char *text = getenv("STORAGED_STOP_AT_STEP");
    if (!text)
        return;
    steps_left = strtol(text, NULL, 10);
    step_hook = count_down;
}
#endif
