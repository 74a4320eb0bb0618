/*
 * zdbd: keeps a 0-db on each pool that needs one, and reserves namespaces on them. One loop thinks,
 * and touches no disk: a launcher of its own becomes each 0-db.
 *
 * The 0-db outlive it. A zdbd that is killed at any instant is replaced by one that finds them by
 * what they have left in the run directory, and finds what they are for in poold's books.
 */
#include "node.h"

#include <linux/capability.h>

/* Static: 4096 places for pools. */
static struct node node;

static int start(struct worker *worker, struct err *err)
{
    worker->data = &node;
    return node_open(&node, worker, err);
}

static void stop(struct worker *worker, enum worker_stop how)
{
    node_stop(worker->data, how);
}

int main(int argc, char **argv)
{
    /* What the launcher needs, which runs with the same; zdbd itself signals through pidfds. */
    static const int keep_caps[] = {
        CAP_SETUID, /* to become the pool's uid */
        CAP_SETGID,
        CAP_SETPCAP,
        CAP_CHOWN,        /* its run directory */
        CAP_DAC_OVERRIDE, /* and its home */
        CAP_KILL,         /* zdbd's own: processes of that uid, through their pidfds */
        CAP_SYS_RESOURCE, /* more open files than we may have */
        -1,
    };
    static const struct worker_ops ops = {
        .name = "zdbd",
        .keep_caps = keep_caps,
        .start = start,
        .stop = stop,
    };
    int status = worker_main(argc, argv, &ops);
    node_free(&node);
    return status;
}
