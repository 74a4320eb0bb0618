/* All namespaces of a server: two directories, which one server at a time may have. */
#ifndef WORKERS_ZDB_REALM_H
#define WORKERS_ZDB_REALM_H

#include "ns.h"
#include "reaper.h"

struct realm {
    char *data_path, *index_path; /* owned */
    int data_root, index_root;
    int locks[2];
    struct ns_config config;
    uint64_t default_maxsize; /* of `default`: a flag, and in no descriptor */
    struct reaper *reaper;    /* borrowed; set before realm_load() */
    struct ns *first;         /* `default`; then by name, and new ones at the end */
};

#define REALM_DEFAULT "default"

/* Makes and locks the directories. -ERR_FAILED_PRECONDITION when another server has them, or when
 * they are in a format of the past. realm_close() in any case. */
int realm_open(struct realm *realm, const char *data_path, const char *index_path, struct err *err);
/*
 * Loads every namespace, and makes `default`. One that is damaged is out of service and no error;
 * -ERR_FAILED_PRECONDITION when one has another mode than all must have.
 */
int realm_load(struct realm *realm, struct err *err);
void realm_close(struct realm *realm);

struct ns *realm_find(const struct realm *realm, const void *name, size_t size);
/* NULL with `err`. */
struct ns *realm_create(struct realm *realm, const char *name, struct err *err);
/* Loads one whose directories somebody else has put there since the start; as realm_create(), with
 * -ERR_NOT_FOUND in `err` where there are none. */
struct ns *realm_take(struct realm *realm, const char *name, struct err *err);
/* Of one that is marked as removed: `ns` is freed, its name is free, and its files go beside the
 * loop. A failure leaves them, and the name taken, until the next start. */
int realm_remove(struct realm *realm, struct ns *ns);
/* From the disk again. When that fails it is out of service. */
int realm_reload(struct realm *realm, struct ns *ns, struct err *err);

#endif
