/* storagectl pool: the pools, mounted or not. */
#include "command.h"

const struct column pool_columns[] = {
    {"ID", "id"},
    {"NAME", "name"},
    {"TYPE", "disk_type"},
    {"STATE", "state"},
    {"USABLE", "capacity.usable"},
    {"BOOKED", "capacity.booked"},
    {"USED", "capacity.used"},
    {"LARGEST", "capacity.largest"},
    {"SPACES", "spaces"},
    {"BOOKINGS", "bookings"},
    {"DISKS", "members.path"},
    {"REASON", "reason"},
    {0},
};

static int run_list(struct session *session, struct err *err)
{
    Storage__V1__ListPoolsRequest request = STORAGE__V1__LIST_POOLS_REQUEST__INIT;
    autorows struct rows rows = {0};
    int rc = session_list(session, "storage.v1.PoolService/ListPools", &request.base, "pools",
                          &rows, err);
    return rc < 0 ? rc : session_print_rows(session, "pools", pool_columns, rows.rows, rows.n, err);
}

static const struct flag wipe_flags[] = {
    {"yes", NULL, "you mean it: all data on it is lost"},
    {"force", NULL,
     "also one that is not mounted or lacks a disk, whatever was on it, or that "
     "holds what storaged did not make"},
    {0},
};

static int run_wipe(struct session *session, struct err *err)
{
    Storage__V1__WipePoolRequest request = STORAGE__V1__WIPE_POOL_REQUEST__INIT;
    autoreply Storage__V1__WipePoolReply *reply = NULL;
    int rc = session_check_yes(session, err);
    if (rc < 0)
        return rc;
    request.id = (char *)(uintptr_t)session->args[0];
    request.force = session_flag(session, "force") != NULL;
    rc = session_change(session, "storage.v1.PoolService/Wipe", &request, &reply, err);
    return rc < 0 ? rc
                  : session_print_rows(session, "disks", disk_columns,
                                       (const ProtobufCMessage *const *)reply->disks,
                                       reply->n_disks, err);
}

static const struct verb verbs[] = {
    {.name = "list", .help = "all pools, also those that could not be opened", .run = run_list},
    {.name = "wipe",
     .args = "ID",
     .min_args = 1,
     .max_args = 1,
     .flags = wipe_flags,
     .help = "give an empty pool up and make its disks blank",
     .run = run_wipe},
    {0},
};

const struct command command_pool = {.noun = "pool",
                                     .help =
                                         "Pools: one btrfs each, on the disks they were made on.",
                                     .verbs = verbs};
