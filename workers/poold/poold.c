/*
 * poold: mounts pools, keeps the cache, hands out spaces. One loop thinks; each pool has two
 * threads that block in its stead.
 *
 * It never forgets what it has acknowledged, because all of that is on the disks: a poold that is
 * killed at any instant is replaced by one that reads it there.
 */
#include "node.h"

#include <sys/capability.h>

/* Static: what a hung thread keeps it from freeing stays reachable by name. */
static struct node node;

static int on_start(struct worker *worker, struct err *err)
{
    worker->data = &node;
    return node_open(&node, worker, err);
}

static void on_stop(struct worker *worker, enum worker_stop how)
{
    stop_begin(worker->data, how);
}

int main(int argc, char **argv)
{
    static const int keep_caps[] = {
        CAP_SYS_ADMIN,       /* mount, btrfs ioctls, trusted xattrs */
        CAP_DAC_OVERRIDE,    /* tenants' directories, whatever their modes */
        CAP_DAC_READ_SEARCH, /* and /proc of others */
        CAP_SYS_PTRACE,      /* /proc/<pid>/{cwd,root,fd,map_files} of others: holders */
        CAP_CHOWN,           /* the owner that Reserve asks for */
        CAP_FOWNER,          /* his directory's mode, afterwards */
        CAP_FSETID,          /* setgid on it */
        -1,
    };
    static const struct worker_ops ops = {.name = "poold",
                                          .keep_caps = keep_caps,
                                          .mounts = true,
                                          .start = on_start,
                                          .stop = on_stop};
    int status = worker_main(argc, argv, &ops);
    node_free(&node);
    return status;
}
