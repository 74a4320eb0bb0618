/* storagectl zdb: the 0-db servers, one for each pool that needs one. */
#include "command.h"

#define SERVICE "storage.v1.ZDBService/"

const struct column zdb_columns[] = {
    {"POOL", "pool"},
    {"STATE", "state"},
    {"PID", "pid"},
    {"PORT", "port"},
    {"NAMESPACES", "namespaces"},
    {"RESTARTS", "restarts"},
    {"STARTED", "started_us"},
    {"OLD-BINARY", "binary_changed"},
    {"MISSING", "missing"},
    {"REASON", "reason"},
    {0},
};

static int run_list(struct session *session, struct err *err)
{
    Storage__V1__ZDBListRequest request = STORAGE__V1__ZDBLIST_REQUEST__INIT;
    autoreply Storage__V1__ZDBListReply *list = NULL;
    int rc = session_call(session, SERVICE "List", &request, &list, err);
    return rc < 0 ? rc
                  : session_print_rows(session, "instances", zdb_columns,
                                       (const ProtobufCMessage *const *)list->instances,
                                       list->n_instances, err);
}

static int run_get(struct session *session, struct err *err)
{
    Storage__V1__ZDBGetRequest request = STORAGE__V1__ZDBGET_REQUEST__INIT;
    autoreply Storage__V1__ZDBInstance *instance = NULL;
    request.pool = (char *)(uintptr_t)session->args[0];
    int rc = session_call(session, SERVICE "Get", &request, &instance, err);
    return rc < 0 ? rc : session_print_object(session, &instance->base, err);
}

static int run_restart(struct session *session, struct err *err)
{
    Storage__V1__ZDBRestartRequest request = STORAGE__V1__ZDBRESTART_REQUEST__INIT;
    autoreply Storage__V1__ZDBInstance *instance = NULL;
    request.pool = (char *)(uintptr_t)session->args[0];
    int rc = session_change(session, SERVICE "Restart", &request, &instance, err);
    return rc < 0 ? rc : session_print_object(session, &instance->base, err);
}

static const struct verb verbs[] = {
    {.name = "list", .help = "the 0-db of every pool, and how each is", .run = run_list},
    {.name = "get",
     .args = "POOL",
     .min_args = 1,
     .max_args = 1,
     .help = "all that is known of one, by its pool's id",
     .run = run_get},
    {.name = "restart",
     .args = "POOL",
     .min_args = 1,
     .max_args = 1,
     .help = "end it and start it again; its clients are disconnected",
     .run = run_restart},
    {0},
};

const struct command command_zdb = {
    .noun = "zdb",
    .help = "0-db: the servers of namespaces, one for each pool that needs one.",
    .verbs = verbs};
