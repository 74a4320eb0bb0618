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

static const struct verb verbs[] = {
    {.name = "list", .help = "all pools, also those that could not be opened", .run = run_list},
    {0},
};

const struct command command_pool = {.noun = "pool",
                                     .help =
                                         "Pools: one btrfs each, on the disks they were made on.",
                                     .verbs = verbs};
