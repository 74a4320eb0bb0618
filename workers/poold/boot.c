/*
 * The first pool. Nothing is chosen before a list that was asked for after the decision says that
 * all disks are known: a disk that is being probed right now may carry the pool that seems to be
 * missing.
 *
 * A pool that was seen in this incarnation and whose disk vanished still is a pool: it may come
 * back, and its loss must cause nothing else.
 */
#include "boot.h"

#include "assembly.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "events.h"
#include "node.h"
#include "wipe.h"
#include "wiped.h"

#include <stdio.h>
#include <string.h>

enum {
    RETRY_LEAST_MS = 1000,
    RETRY_MOST_MS = 60000,
    PREPARE_GRACE_MS = 30000,
    FAILURES_PATIENT = 3
};

static void say(struct boot *boot, const char *reason)
{
    if (strcmp(boot->reason, reason) == 0)
        return;
    (void)snprintf(boot->reason, sizeof boot->reason, "%s", reason);
    health_review(&boot->node->health);
}

static void on_prepared(const struct rpc_result *result, void *data)
{
    struct boot *boot = data;
    struct node *node = boot->node;
    boot->preparing = false;
    if (node->stop.begun)
        return;
    if (result->err->code != ERR_OK) {
        char reason[sizeof boot->reason];
        (void)snprintf(reason, sizeof reason, "%s could not be prepared: %s", boot->disk,
                       result->err->message);
        boot->n_failures++;
        retry_later(&boot->retry);
        events_tell(node, "pool.failed", boot->disk, reason);
        say(boot, reason);
        return;
    }
    boot->n_failures = 0;
    retry_reset(&boot->retry);
    const Storage__V1__PrepareReply *reply = (const Storage__V1__PrepareReply *)result->output;
    for (size_t i = 0; i < reply->n_pools; i++)
        for (size_t k = 0; k < reply->pools[i]->n_disks; k++)
            disks_learn(&node->disks, reply->pools[i]->disks[k]);
}

static void prepare(struct boot *boot, const Storage__V1__Disk *disk)
{
    struct node *node = boot->node;
    autoerr struct err err = {0};
    char reason[sizeof boot->reason];
    char *disks[] = {disk->id};
    Storage__V1__PreparePolicy policy = STORAGE__V1__PREPARE_POLICY__INIT;
    policy.profile = STORAGE__V1__POOL_PROFILE__POOL_PROFILE_SINGLE;
    policy.n_disks = 1;
    policy.disks = disks;
    const struct rpc_call_options options = {
        .deadline_ms = node->settings->mkfs_ms + PREPARE_GRACE_MS, .wait = true};
    (void)snprintf(boot->disk, sizeof boot->disk, "%s", disk->path);
    (void)snprintf(reason, sizeof reason, "the first pool is being made on %s", disk->path);
    log_info("no pool is there; making the first", "disk", disk->path, "type_evidence",
             disk->type_evidence);
    if (rpc_client_call(node->disks.client, &storage__v1__disk_service__descriptor, "Prepare",
                        &policy.base, &options, on_prepared, boot, &err) == 0) {
        boot->preparing = true;
        say(boot, reason);
        return;
    }
    log_err(LOG_ERROR, "cannot ask diskd to prepare a disk", &err);
    retry_later(&boot->retry);
    say(boot, err.message);
}

/* True once a list that is younger than the question has come. */
static bool is_sure(struct boot *boot)
{
    struct disks *disks = &boot->node->disks;
    if (boot->asked_lists != 0 && disks->n_lists > boot->asked_lists)
        return true;
    if (boot->asked_lists == 0) {
        /* One that is on its way by now is older than the question. */
        boot->asked_lists = disks->n_lists + (disks->listing ? 1 : 0);
        disks_list_again(disks);
    }
    return false;
}

void boot_review(struct boot *boot)
{
    static const char *const reasons[] = {
        [ASSEMBLY_CHOICE_UNSETTLED] = "the disks are still being looked at",
        [ASSEMBLY_CHOICE_HAS_POOL] = "",
        [ASSEMBLY_CHOICE_NO_DISK] = "no disk",
        [ASSEMBLY_CHOICE_NO_BLANK] =
            "no disk is blank, of a known type and large enough for a pool with a cache",
    };
    struct node *node = boot->node;
    const struct disks *disks = &node->disks;
    const Storage__V1__Disk *disk = NULL;
    if (node->stop.begun || boot->preparing || !disks->known || wipe_is_under_way(node, NULL))
        return;
    enum assembly_choice choice = ASSEMBLY_CHOICE_HAS_POOL;
    if (node->n_pools == 0)
        choice =
            assembly_choose((const Storage__V1__Disk *const *)disks->list, disks->n, disks->settled,
                            boot->n_failures >= FAILURES_PATIENT ? boot->disk : NULL, &disk);
    if (choice != ASSEMBLY_CHOICE_DISK) {
        boot->asked_lists = 0;
        say(boot, reasons[choice]);
    } else if (!node->settings->create) {
        say(boot, "no disk carries a pool, and pools.create is off");
    } else if (boot->wiped) {
        say(boot, "the pool was wiped; before the next boot only `storagectl disk prepare` makes "
                  "another");
    } else if (!retry_is_waiting(&boot->retry) && is_sure(boot)) {
        boot->asked_lists = 0;
        prepare(boot, disk);
    }
}

void boot_give_up(struct boot *boot)
{
    boot->wiped = true;
    wiped_note(boot->node->settings);
}

void boot_opened(struct boot *boot)
{
    if (boot->wiped)
        wiped_forget(boot->node->settings);
    boot->wiped = false;
}

void boot_hurry(struct boot *boot, const char *path)
{
    if (boot->n_failures > 0 && strcmp(path, boot->disk) != 0)
        retry_cancel(&boot->retry);
}

static void on_retry(void *data)
{
    boot_review(data);
}

void boot_init(struct boot *boot, struct node *node)
{
    *boot = (struct boot){.node = node, .wiped = wiped_is_noted(node->settings)};
    retry_init(&boot->retry, node->loop, RETRY_LEAST_MS, RETRY_MOST_MS, on_retry, boot);
}
