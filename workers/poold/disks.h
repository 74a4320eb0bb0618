/*
 * diskd's disks as poold last heard of them: a list after each resync, events in between. Of the
 * loop.
 */
#ifndef WORKERS_POOLD_DISKS_H
#define WORKERS_POOLD_DISKS_H

#include "base/error.h"
#include "event/subscriber.h"
#include "rpc/client.h"
#include "storage/v1/disk.pb-c.h"
#include "storage/v1/event.pb-c.h"
#include "worker/retry.h"

#include <stdbool.h>

struct node;

enum {
    DISKS_MAX = 4096,
    DISKS_BACKLOG_MAX = 1024, /* events kept while a list is on its way; more: list again */
};

struct disks {
    struct node *node;
    struct rpc_client *client;
    struct event_subscriber *subscriber;
    Storage__V1__Disk **list; /* owned */
    size_t n;
    bool known;       /* a whole list was read once */
    bool settled;     /* diskd's enumeration was over, and no probe pending, in the last list */
    bool all_seen;    /* it was so in one list at least */
    unsigned n_lists; /* whole lists read so far */

    bool listing;
    bool list_again;
    Storage__V1__Disk **incoming; /* of the list on its way */
    size_t n_incoming;
    uint64_t list_epoch, list_seq; /* of its first page */
    Storage__V1__Event *backlog[DISKS_BACKLOG_MAX];
    size_t n_backlog;
    struct retry retry;
    bool closing;
};

int disks_open(struct disks *disks, struct node *node, struct err *err);
/* Ends calls and subscription; their handles close on the loop. */
void disks_close(struct disks *disks);
/* When the loop is done. */
void disks_free(struct disks *disks);

const Storage__V1__Disk *disks_find(const struct disks *disks, const char *id);
/* Asks for a list that is no older than this call; node_disks_changed() follows. */
void disks_list_again(struct disks *disks);
/* A disk as a reply of diskd's shows it; it may be older than what is known. Copied. */
void disks_learn(struct disks *disks, const Storage__V1__Disk *disk);
/* Has diskd read the disk again; what it finds comes as an event. */
void disks_probe(struct disks *disks, const char *id);

#endif
