/* The answer to a preparation: the pools that were made, or all that stood in the way. */
#include "prepare_private.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "show.h"

#include <stdlib.h>

void prepare_refuse(struct preparation *p, const struct err *err)
{
    if (p->call)
        rpc_call_fail(p->call, err);
    p->call = NULL;
}

void prepare_answer(struct preparation *p)
{
    Storage__V1__PrepareReply reply = STORAGE__V1__PREPARE_REPLY__INIT;
    Storage__V1__PreparedPool pools[PREPARE_DISKS_MAX], *pool_list[PREPARE_DISKS_MAX];
    Storage__V1__Disk *disk_list[PREPARE_DISKS_MAX];
    autofree struct disk_picture *pictures = calloc(p->n_entries, sizeof *pictures);
    autoerr struct err err = {0};
    if (!pictures) {
        err_set(&err, ERR_RESOURCE_EXHAUSTED, 0, NULL,
                "the pools are made, but there is no "
                "memory to say so: list the disks");
        prepare_refuse(p, &err);
        return;
    }
    for (size_t i = 0; i < p->n_entries; i++) {
        struct prepare_entry *entry = &p->entries[i];
        show_disk(entry->disk, &pictures[i]);
        disk_list[i] = &pictures[i].message;
        storage__v1__prepared_pool__init(&pools[i]);
        pools[i].fsid = entry->fsid;
        pools[i].name = entry->name;
        pools[i].profile = STORAGE__V1__POOL_PROFILE__POOL_PROFILE_SINGLE;
        pools[i].n_disks = 1;
        pools[i].disks = &disk_list[i];
        pool_list[i] = &pools[i];
    }
    reply.n_pools = p->n_entries;
    reply.pools = pool_list;
    if (p->call)
        p->closure(&reply, p->call);
    p->call = NULL;
}

bool prepare_find_errors(const struct preparation *p, bool before, struct err *out_err)
{
    const struct err *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < p->n_entries; i++) {
        if (p->entries[i].err.code == ERR_OK)
            continue;
        first = first ? first : &p->entries[i].err;
        n++;
    }
    if (!first)
        return false;
    err_set(out_err, first->code, first->os_errno, first->object, "%s%s",
            before ? "nothing was written: " : "", first->message);
    if (n > 1)
        err_set(out_err, first->code, 0, NULL, "%zu of %zu disks %s", n, p->n_entries,
                before ? "cannot be used; nothing was written" : "could not be prepared");
    if (before)
        err_hint(out_err,
                 "only a blank disk becomes a pool: see what it carries, and wipe it if that "
                 "is not needed any more");
    for (size_t i = 0; i < p->n_entries; i++) {
        const struct prepare_entry *entry = &p->entries[i];
        if (entry->err.code != ERR_OK)
            err_blocker(out_err, "%s", entry->err.message);
        else if (!before)
            log_info("prepared beside one that failed", "disk", entry->device.path);
    }
    return true;
}
