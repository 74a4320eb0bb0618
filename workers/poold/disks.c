/*
 * The view of diskd. While a list is on its way events are applied as they come, and kept: those
 * that are newer than the list are applied once more to it, so that it does not undo them.
 *
 * A list that is not settled adds and changes only. What it does not name may not have been
 * enumerated yet: a diskd that was just reborn must not make every pool look as if it had vanished.
 */
#include "disks.h"

#include "base/log.h"
#include "node.h"
#include "rpc/message.h"

#include <stdlib.h>
#include <string.h>

enum {
    RETRY_LEAST_MS = 100,
    RETRY_MOST_MS = 5000,
    LIST_DEADLINE_MS = 30000,
    PROBE_DEADLINE_MS = 60000,
};

static void list_begin(struct disks *disks);

/* ---- the table ---- */

static size_t position(Storage__V1__Disk *const *list, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i]->id, id) == 0)
            return i;
    return n;
}

const Storage__V1__Disk *disks_find(const struct disks *disks, const char *id)
{
    size_t at = position(disks->list, disks->n, id);
    return at < disks->n ? disks->list[at] : NULL;
}

/* Puts the disk in the place of the one with its id. Takes it. */
static int put(Storage__V1__Disk ***list, size_t *n, Storage__V1__Disk *disk)
{
    size_t at = position(*list, *n, disk->id);
    if (at < *n) {
        storage__v1__disk__free_unpacked((*list)[at], NULL);
        (*list)[at] = disk;
        return 0;
    }
    Storage__V1__Disk **grown = NULL;
    if (*n < DISKS_MAX)
        grown = reallocarray(*list, *n + 1, sizeof(Storage__V1__Disk *));
    if (!grown) {
        log_warning("a disk is not considered: too many, or no memory", "disk", disk->id);
        storage__v1__disk__free_unpacked(disk, NULL);
        return -ERR_RESOURCE_EXHAUSTED;
    }
    *list = grown;
    (*list)[(*n)++] = disk;
    return 0;
}

static void drop(struct disks *disks, size_t at)
{
    storage__v1__disk__free_unpacked(disks->list[at], NULL);
    disks->n--;
    memmove(&disks->list[at], &disks->list[at + 1], (disks->n - at) * sizeof(Storage__V1__Disk *));
}

static void put_copy(struct disks *disks, const Storage__V1__Disk *disk)
{
    Storage__V1__Disk *copy = message_copy(&disk->base);
    if (copy)
        (void)put(&disks->list, &disks->n, copy);
    else
        log_error("no memory for a disk", "disk", disk->id);
}

void disks_learn(struct disks *disks, const Storage__V1__Disk *disk)
{
    const Storage__V1__Disk *known = disks_find(disks, disk->id);
    if (!known || known->probed_generation > disk->probed_generation)
        return;
    put_copy(disks, disk);
    node_disks_changed(disks->node);
}

/* ---- events ---- */

static void apply(struct disks *disks, const Storage__V1__Event *event)
{
    if (event->body_case == STORAGE__V1__EVENT__BODY_DISK &&
        strcmp(event->topic, "disk.removed") != 0) {
        put_copy(disks, event->disk);
    } else if (strcmp(event->topic, "disk.removed") == 0) {
        size_t at = position(disks->list, disks->n, event->object);
        if (at < disks->n)
            drop(disks, at);
    }
}

static void keep(struct disks *disks, const Storage__V1__Event *event)
{
    Storage__V1__Event *copy = NULL;
    if (disks->n_backlog < DISKS_BACKLOG_MAX)
        copy = message_copy(&event->base);
    if (copy)
        disks->backlog[disks->n_backlog++] = copy;
    else
        disks->list_again = true;
}

static void on_event(const Storage__V1__Event *event, void *data)
{
    struct disks *disks = data;
    if (disks->closing)
        return;
    if (disks->listing)
        keep(disks, event);
    if (strcmp(event->topic, "disk.settled") == 0) {
        if (!disks->settled)
            list_begin(disks);
        else if (disks->known)
            node_disks_changed(disks->node);
        return;
    }
    apply(disks, event);
    if (event->body_case == STORAGE__V1__EVENT__BODY_DISK)
        boot_hurry(&disks->node->boot, event->disk->path);
    if (disks->known)
        node_disks_changed(disks->node);
}

static void on_resync(uint64_t epoch, uint64_t seq, void *data)
{
    (void)epoch;
    (void)seq;
    struct disks *disks = data;
    if (!disks->closing)
        list_begin(disks);
}

/* ---- lists ---- */

static void forget_list(struct disks *disks)
{
    for (size_t i = 0; i < disks->n_incoming; i++)
        storage__v1__disk__free_unpacked(disks->incoming[i], NULL);
    free(disks->incoming);
    disks->incoming = NULL;
    disks->n_incoming = 0;
    for (size_t i = 0; i < disks->n_backlog; i++)
        storage__v1__event__free_unpacked(disks->backlog[i], NULL);
    disks->n_backlog = 0;
    disks->listing = false;
}

/* The list is whole: it becomes the table, and what happened since is applied to it. */
static void list_end(struct disks *disks, bool settled)
{
    for (size_t i = disks->n; settled && i-- > 0;)
        if (position(disks->incoming, disks->n_incoming, disks->list[i]->id) == disks->n_incoming)
            drop(disks, i);
    for (size_t i = 0; i < disks->n_incoming; i++)
        (void)put(&disks->list, &disks->n, disks->incoming[i]);
    disks->n_incoming = 0;
    for (size_t i = 0; i < disks->n_backlog; i++) {
        const Storage__V1__Event *event = disks->backlog[i];
        if (event->epoch != disks->list_epoch || event->seq <= disks->list_seq)
            continue;
        if (strcmp(event->topic, "disk.settled") == 0 && !settled)
            disks->list_again = true;
        else
            apply(disks, event);
    }
    forget_list(disks);
    disks->known = true;
    disks->settled = settled;
    disks->all_seen = disks->all_seen || settled;
    disks->n_lists++;
    retry_reset(&disks->retry);
    if (disks->list_again)
        list_begin(disks);
    node_disks_changed(disks->node);
}

static void list_page(struct disks *disks, const char *token);

static void on_page(const struct rpc_result *result, void *data)
{
    struct disks *disks = data;
    if (disks->closing)
        return;
    if (result->err->code != ERR_OK) {
        log_err(LOG_WARNING, "diskd does not list its disks", result->err);
        forget_list(disks);
        retry_later(&disks->retry);
        return;
    }
    const Storage__V1__DiskListReply *reply = (const Storage__V1__DiskListReply *)result->output;
    if (disks->n_incoming == 0 && disks->list_epoch == 0) {
        disks->list_epoch = reply->epoch;
        disks->list_seq = reply->seq;
    }
    if (disks->list_epoch != reply->epoch) {
        disks->list_again = true;
        forget_list(disks);
        list_begin(disks);
        return;
    }
    for (size_t i = 0; i < reply->n_disks; i++) {
        Storage__V1__Disk *copy = message_copy(&reply->disks[i]->base);
        if (copy)
            (void)put(&disks->incoming, &disks->n_incoming, copy);
    }
    if (reply->next_page_token[0])
        list_page(disks, reply->next_page_token);
    else
        list_end(disks, reply->settled);
}

static void list_page(struct disks *disks, const char *token)
{
    Storage__V1__DiskListRequest request = STORAGE__V1__DISK_LIST_REQUEST__INIT;
    request.page_token = (char *)token;
    const struct rpc_call_options options = {.deadline_ms = LIST_DEADLINE_MS, .wait = true};
    struct err err = {0};
    if (rpc_client_call(disks->client, &storage__v1__disk_service__descriptor, "List",
                        &request.base, &options, on_page, disks, &err) == 0)
        return;
    log_err(LOG_ERROR, "cannot ask diskd for its disks", &err);
    err_clear(&err);
    forget_list(disks);
    retry_later(&disks->retry);
}

static void list_begin(struct disks *disks)
{
    if (disks->closing)
        return;
    if (disks->listing) {
        disks->list_again = true;
        return;
    }
    retry_cancel(&disks->retry);
    disks->listing = true;
    disks->list_again = false;
    disks->list_epoch = disks->list_seq = 0;
    list_page(disks, "");
}

static void on_retry(void *data)
{
    list_begin(data);
}

void disks_list_again(struct disks *disks)
{
    list_begin(disks);
}

/* ---- the rest ---- */

static void on_probed(const struct rpc_result *result, void *data)
{
    struct disks *disks = data;
    if (disks->closing)
        return;
    if (result->err->code != ERR_OK)
        log_err(LOG_WARNING, "diskd did not read a disk again", result->err);
    else
        disks_learn(disks, (const Storage__V1__Disk *)result->output);
}

void disks_probe(struct disks *disks, const char *id)
{
    Storage__V1__DiskProbeRequest request = STORAGE__V1__DISK_PROBE_REQUEST__INIT;
    if (disks->closing)
        return;
    request.id = (char *)id;
    const struct rpc_call_options options = {.deadline_ms = PROBE_DEADLINE_MS, .wait = true};
    struct err err = {0};
    if (rpc_client_call(disks->client, &storage__v1__disk_service__descriptor, "Probe",
                        &request.base, &options, on_probed, disks, &err) < 0)
        log_err(LOG_WARNING, "cannot have a disk read again", &err);
    err_clear(&err);
}

int disks_open(struct disks *disks, struct node *node, struct err *err)
{
    static const char *const topics[] = {"disk.", NULL};
    char *path = settings_run_path(node->settings, "diskd", ".sock");
    char *url = NULL;
    if (path && asprintf(&url, "ipc://%s", path) < 0)
        url = NULL;
    free(path);
    if (!url)
        return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, "diskd", "no memory to reach it");
    *disks = (struct disks){.node = node};
    retry_init(&disks->retry, node->loop, RETRY_LEAST_MS, RETRY_MOST_MS, on_retry, disks);
    const struct rpc_client_options client = {.loop = node->loop, .url = url};
    int rc = rpc_client_open(&client, &disks->client, err);
    free(url);
    if (rc < 0)
        return rc;
    const struct event_subscriber_options subscriber = {
        .loop = node->loop,
        .run_dir = node->settings->run_dir,
        .worker = "diskd",
        .topics = topics,
        .on_event = on_event,
        .on_resync = on_resync,
        .data = disks,
    };
    return event_subscriber_open(&subscriber, &disks->subscriber, err);
}

void disks_close(struct disks *disks)
{
    disks->closing = true;
    retry_close(&disks->retry);
    event_subscriber_close(disks->subscriber, NULL, NULL);
    rpc_client_close(disks->client, NULL, NULL);
}

void disks_free(struct disks *disks)
{
    forget_list(disks);
    for (size_t i = 0; i < disks->n; i++)
        storage__v1__disk__free_unpacked(disks->list[i], NULL);
    free(disks->list);
    disks->list = NULL;
    disks->n = 0;
}
