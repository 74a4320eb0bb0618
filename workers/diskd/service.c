/*
 * The handlers. Each answers at once from the registry, but for Probe, Prepare and Wipe, which
 * wait for the disk.
 */
#include "service.h"

#include "base/cleanup.h"
#include "prepare.h"
#include "show.h"
#include "wipe.h"

#include <errno.h>
#include <string.h>

enum {
    PAGE_MAX = 256,              /* disks */
    PAGE_MAX_BYTES = 768 * 1024, /* well below the reply's limit */
};

static struct service {
    Storage__V1__DiskService_Service base;
    struct registry *registry;
    struct worker *worker;
} self;

static struct disk *find(const char *id, struct rpc_call *call)
{
    struct disk *disk = registry_find(self.registry, id);
    if (disk)
        return disk;
    autoerr struct err err = {0};
    (void)registry_miss(self.registry, id, &err);
    rpc_call_fail(call, &err);
    return NULL;
}

/* ---- List ---- */

static const struct disk *first_after(const char *token)
{
    const struct disk *disk = self.registry->disks;
    while (disk && (!disk->announced || strverscmp(disk->device.path, token) <= 0))
        disk = disk->next;
    return disk;
}

static void handle_list(Storage__V1__DiskService_Service *service,
                        const Storage__V1__DiskListRequest *input,
                        Storage__V1__DiskListReply_Closure closure, void *closure_data)
{
    Storage__V1__DiskListReply reply = STORAGE__V1__DISK_LIST_REPLY__INIT;
    size_t most = input->page_size > 0 && input->page_size < PAGE_MAX ? input->page_size : PAGE_MAX;
    size_t bytes = 0, n = 0;
    autofree struct disk_picture *pictures = calloc(most, sizeof *pictures);
    autofree Storage__V1__Disk **list = calloc(most, sizeof *list);
    (void)service;
    if (!pictures || !list) {
        rpc_call_refuse(closure_data, ERR_RESOURCE_EXHAUSTED, NULL, "no memory for a list");
        return;
    }
    const struct disk *disk = first_after(input->page_token);
    for (; disk && n < most && bytes < PAGE_MAX_BYTES; disk = disk->next) {
        if (!disk->announced)
            continue;
        show_disk(disk, &pictures[n]);
        list[n] = &pictures[n].message;
        bytes += storage__v1__disk__get_packed_size(list[n]);
        reply.next_page_token = list[n++]->path;
    }
    while (disk && !disk->announced)
        disk = disk->next;
    if (!disk)
        reply.next_page_token = (char *)(uintptr_t) "";
    reply.n_disks = n;
    reply.disks = list;
    reply.epoch = event_publisher_epoch(self.worker->events);
    reply.seq = event_publisher_seq(self.worker->events);
    reply.settled = self.registry->settled;
    closure(&reply, closure_data);
}

/* ---- Get, Stats ---- */

static void handle_get(Storage__V1__DiskService_Service *service,
                       const Storage__V1__DiskGetRequest *input, Storage__V1__Disk_Closure closure,
                       void *closure_data)
{
    struct disk_picture picture;
    const struct disk *disk = find(input->id, closure_data);
    (void)service;
    if (!disk)
        return;
    show_disk(disk, &picture);
    closure(&picture.message, closure_data);
}

static void handle_stats(Storage__V1__DiskService_Service *service,
                         const Storage__V1__DiskStatsRequest *input,
                         Storage__V1__DiskStats_Closure closure, void *closure_data)
{
    Storage__V1__DiskStats reply = STORAGE__V1__DISK_STATS__INIT;
    struct sysfs_counters c;
    autoerr struct err err = {0};
    struct disk *disk = find(input->id, closure_data);
    (void)service;
    if (!disk)
        return;
    if (sysfs_read_counters(self.registry->sys, disk->device.name, &c, &err) < 0) {
        rpc_call_fail(closure_data, &err);
        return;
    }
    reply.id = disk->id;
    reply.reads = c.reads;
    reply.read_bytes = c.read_bytes;
    reply.read_ms = c.read_ms;
    reply.writes = c.writes;
    reply.written_bytes = c.written_bytes;
    reply.write_ms = c.write_ms;
    reply.in_flight = c.in_flight;
    reply.busy_ms = c.busy_ms;
    reply.discards = c.discards;
    reply.discarded_bytes = c.discarded_bytes;
    reply.flushes = c.flushes;
    closure(&reply, closure_data);
}

/* ---- Probe, Prepare, Wipe ---- */

struct probe_call {
    struct disk_waiter waiter;
    Storage__V1__Disk_Closure closure;
    struct rpc_call *call;
};

static void on_probed(struct disk_waiter *waiter, struct disk *disk)
{
    autofree struct probe_call *probe = container_of(waiter, struct probe_call, waiter);
    struct disk_picture picture;
    if (!disk) {
        rpc_call_refuse(probe->call, self.registry->closing ? ERR_UNAVAILABLE : ERR_NOT_FOUND, NULL,
                        self.registry->closing ? "diskd is stopping" : "the disk was unplugged");
        return;
    }
    show_disk(disk, &picture);
    probe->closure(&picture.message, probe->call);
}

static void handle_probe(Storage__V1__DiskService_Service *service,
                         const Storage__V1__DiskProbeRequest *input,
                         Storage__V1__Disk_Closure closure, void *closure_data)
{
    autoerr struct err err = {0};
    struct disk_picture picture;
    struct disk *disk = find(input->id, closure_data);
    (void)service;
    if (!disk)
        return;
    if (disk->late) { /* the last probe still hangs there */
        show_disk(disk, &picture);
        closure(&picture.message, closure_data);
        return;
    }
    struct probe_call *probe = calloc(1, sizeof *probe);
    if (!probe) {
        rpc_call_refuse(closure_data, ERR_RESOURCE_EXHAUSTED, disk->id, "no memory to probe it");
        return;
    }
    *probe = (struct probe_call){{.done = on_probed}, closure, closure_data};
    if (registry_probe(disk, &probe->waiter, &err) < 0) {
        free(probe);
        rpc_call_fail(closure_data, &err);
    }
}

static void handle_prepare(Storage__V1__DiskService_Service *service,
                           const Storage__V1__PreparePolicy *input,
                           Storage__V1__PrepareReply_Closure closure, void *closure_data)
{
    (void)service;
    prepare_handle(self.registry, input, closure, closure_data);
}

static void handle_wipe(Storage__V1__DiskService_Service *service,
                        const Storage__V1__WipeRequest *input, Storage__V1__Disk_Closure closure,
                        void *closure_data)
{
    (void)service;
    wipe_handle(self.registry, input, closure, closure_data);
}

int service_add(struct worker *worker, struct registry *registry, struct err *err)
{
    static const char *const reads[] = {"List", "Get", "Stats", "Probe", NULL};
    self = (struct service){
        .base = STORAGE__V1__DISK_SERVICE__INIT(handle_), .registry = registry, .worker = worker};
    return rpc_server_add(worker->rpc, &self.base.base, reads, err);
}
