/* A poold that has no descriptors left says so, of whatever it is asked, and is well when it has
 * them again. */
#include "poolnode.h"

#include <sys/resource.h>

enum { SPARE_MAX = 8 };

/* The lowest number that no descriptor has: the next one would get it. */
static unsigned first_free_descriptor(pid_t pid)
{
    autofree char *folder = path_format("/proc/%d/fd", (int)pid);
    for (unsigned fd = 0;; fd++) {
        autofree char *path = path_format("%s/%u", folder, fd);
        char target[256];
        if (readlink(path, target, sizeof target) < 0)
            return fd;
    }
}

static void want_of_descriptors_is_told(void)
{
    struct node *node = poolnode_start(disk_create(2 * GiB, DISK_SSD));
    autoreply Storage__V1__Space *known = must_reserve(node, "known", SSD, 16 * MiB);
    pid_t poold = node_worker(node, "poold").pid;
    unsigned n_free = first_free_descriptor(poold), refused = 0;
    struct rlimit before;
    assert_int_equal(prlimit(poold, RLIMIT_NOFILE, NULL, &before), 0);
    for (unsigned spare = 0; spare < SPARE_MAX; spare++) {
        const struct rlimit limit = {n_free + spare, before.rlim_max};
        autofree char *name = path_format("wanting-%u", spare);
        autoerr struct err err = {0};
        autoreply Storage__V1__Space *space = NULL;
        assert_int_equal(prlimit(poold, RLIMIT_NOFILE, &limit, NULL), 0);
        int rc = call_reserve(node->storage, name, SSD, 16 * MiB, &space, &err);
        assert_int_equal(prlimit(poold, RLIMIT_NOFILE, &before, NULL), 0);
        if (rc == 0)
            continue; /* so many were enough */
        assert_int_equal(err.code, ERR_RESOURCE_EXHAUSTED);
        refused++;
    }
    assert_true(refused > 0);
    autoreply Storage__V1__Space *later = must_reserve(node, "later", SSD, 16 * MiB);
    must_release(node, known->id);
    node_stop(node);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {harness_case(want_of_descriptors_is_told)};
    return harness_main(argc, argv, "want", cases, array_length(cases));
}
