/* The seam of step.h. Nothing but a pointer, and where tests run, the one who may set it. */
#include "step.h"

void (*step_hook)(void);

#ifdef STORAGED_SEAMS
#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static _Atomic long *steps_left;

static void count_down(void)
{
    if (atomic_fetch_sub(steps_left, 1) == 1)
        (void)raise(SIGKILL);
}

/* A test that asks for what it cannot get must not pass. */
__attribute__((constructor)) static void read_environment(void)
{
    const char *text = getenv("STORAGED_STEPS");
    const char *path = text ? strchr(text, ':') : NULL;
    size_t length = strlen(program_invocation_short_name);
    if (!path || (size_t)(path - text) != length ||
        strncmp(text, program_invocation_short_name, length) != 0)
        return;
    autoclose int fd = open(path + 1, O_RDWR | O_CLOEXEC);
    void *map = mmap(NULL, sizeof *steps_left, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        abort();
    steps_left = map;
    step_hook = count_down;
}
#endif
