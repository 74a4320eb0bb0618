/* See the header. The file that is shared with the program lies in the node's directory. */
#include "steps.h"

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct steps {
    _Atomic long left; /* the only field in the file */
};

int steps_main(int argc, char **argv, const char *group, const struct harness_case *cases,
               size_t n_cases)
{
#ifdef STORAGED_SEAMS
    return harness_main(argc, argv, group, cases, n_cases);
#else
    (void)argc, (void)argv, (void)cases, (void)n_cases;
    (void)fprintf(stderr, "%s: skipped: this build has no seams (STORAGED_SEAMS is off)\n", group);
    return HARNESS_SKIP;
#endif
}

struct steps *steps_watch(struct node *node, const char *program)
{
    autofree char *path = path_format("%s/steps", node->dir);
    autofree char *text = path_format("%s:%s", program, path);
    autoclose int fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, sizeof(struct steps)), 0);
    struct steps *steps = mmap(NULL, sizeof *steps, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(steps != MAP_FAILED);
    assert_int_equal(setenv("STORAGED_STEPS", text, 1), 0);
    return steps;
}

void steps_forget(struct steps *steps)
{
    assert_int_equal(munmap(steps, sizeof *steps), 0);
    assert_int_equal(unsetenv("STORAGED_STEPS"), 0);
}

void steps_allow(struct steps *steps, unsigned n)
{
    steps->left = n;
}

bool steps_are_over(const struct steps *steps)
{
    return steps->left <= 0;
}

void steps_wait(const struct steps *steps, unsigned n)
{
    uint64_t deadline = clock_monotonic_ms() + HARNESS_WAIT_MS;
    while (steps->left > (long)n && clock_monotonic_ms() < deadline)
        (void)poll(NULL, 0, 1);
    assert_true(steps->left <= (long)n);
}

unsigned steps_left(const struct steps *steps)
{
    return steps->left > 0 ? (unsigned)steps->left : 0;
}

void steps_spare(struct steps *steps)
{
    steps->left = 0;
}
