/*
 * diskd: finds the disks, says what each is, and prepares blank ones as pools. It mounts nothing,
 * and writes to a disk through mkfs.btrfs alone.
 *
 * Threads: the loop owns registry and calls; each disk has a lane, on which everything happens that
 * opens the disk or asks its driver.
 */
#include "registry.h"
#include "service.h"

#include <linux/capability.h>

static int start(struct worker *worker, struct err *err)
{
    struct registry *registry;
    int rc = registry_open(worker, "/sys", "/proc", &registry, err);
    if (rc < 0)
        return rc;
    worker->data = registry;
    return service_add(worker, registry, err);
}

/* Nothing is mounted here: both ways to stop are the same. */
static void stop(struct worker *worker, enum worker_stop how)
{
    (void)how;
    registry_close(worker->data);
    worker_stopped(worker, "");
}

int main(int argc, char **argv)
{
    /* To open any device node and read any attribute; SYS_ADMIN for what mkfs.btrfs asks of
     * btrfs-control. */
    static const int keep_caps[] = {CAP_SYS_ADMIN, CAP_DAC_OVERRIDE, -1};
    static const struct worker_ops ops = {
        .name = "diskd",
        .keep_caps = keep_caps,
        .writes_devices = true, /* it reads what anybody may have laid on a disk */
        .start = start,
        .stop = stop,
    };
    return worker_main(argc, argv, &ops);
}
