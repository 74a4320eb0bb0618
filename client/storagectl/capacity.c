/* storagectl capacity: what can still be reserved. */
#include "command.h"

const struct column capacity_columns[] = {
    {"TYPE", "disk_type"},           {"POOLS", "pools"},
    {"USABLE", "capacity.usable"},   {"BOOKED", "capacity.booked"},
    {"USED", "capacity.used"},       {"RELEASING", "capacity.releasing"},
    {"LARGEST", "capacity.largest"}, {0},
};

int capacity_ask(struct session *session, Storage__V1__DiskType type,
                 Storage__V1__CapacityReply **out_reply, struct err *err)
{
    Storage__V1__CapacityRequest request = STORAGE__V1__CAPACITY_REQUEST__INIT;
    request.disk_type = type;
    int rc = session_call(session, "storage.v1.PoolService/Capacity", &request, out_reply, err);
    if (rc == 0)
        (*out_reply)->disk_type = type; /* also from a poold that does not say it */
    return rc;
}

static int run(struct session *session, struct err *err)
{
    Storage__V1__DiskType types[] = {STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD,
                                     STORAGE__V1__DISK_TYPE__DISK_TYPE_HDD};
    autoreply Storage__V1__CapacityReply *first = NULL;
    autoreply Storage__V1__CapacityReply *second = NULL;
    int rc = session->n_args ? session_parse_type(session->args[0], &types[0], err) : 0;
    if (rc == 0)
        rc = capacity_ask(session, types[0], &first, err);
    if (rc == 0 && !session->n_args)
        rc = capacity_ask(session, types[1], &second, err);
    if (rc < 0)
        return rc;
    const ProtobufCMessage *rows[] = {&first->base, second ? &second->base : NULL};
    return session_print_rows(session, "capacity", capacity_columns, rows, second ? 2 : 1, err);
}

static const struct verb verbs[] = {
    {.args = "[TYPE]", .max_args = 1, .help = "what can be reserved, per disk type", .run = run},
    {0},
};

const struct command command_capacity = {
    .noun = "capacity",
    .help = "The ledger: usable - booked is free in all, LARGEST in one piece.",
    .verbs = verbs};
