/* storagectl zdb: the 0-db servers, one for each pool that needs one. */
#include "command.h"

#include "rpc/server.h"

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

/* --- import ---------------------------------------------------------------------------------- */

static const struct column imported_columns[] = {
    {"IMPORTED", "zdb_name"},
    {"ID", "id"},
    {"MODE", "mode"},
    {"SIZE", "size_bytes"},
    {"PUBLIC", "public"},
    {"REASON", "reason"},
    {0},
};

static const struct column left_columns[] = {
    {"LEFT", "name"},
    {"SIZE", "size_bytes"},
    {"REASON", "reason"},
    {0},
};

static const struct flag import_flags[] = {
    {"data", "DIR", "what the other 0-db had as --data, absolute; required"},
    {"index", "DIR", "what it had as --index, absolute; required"},
    {"dry-run", NULL, "only say what is there; whether it fits is seen when it is booked"},
    {0},
};

static int print_import(const struct session *session, const Storage__V1__ZDBImportReply *reply,
                        struct err *err)
{
    if (session->json)
        return session_print_object(session, &reply->base, err);
    int rc = table_print(imported_columns, (const ProtobufCMessage *const *)reply->imported,
                         reply->n_imported, session->out, err);
    if (rc < 0 || reply->n_left == 0)
        return rc;
    (void)fputc('\n', session->out);
    return table_print(left_columns, (const ProtobufCMessage *const *)reply->left, reply->n_left,
                       session->out, err);
}

/* It copies all there is: unless told otherwise, the call may take as long as a call can. */
static int run_import(struct session *session, struct err *err)
{
    Storage__V1__ZDBImportRequest request = STORAGE__V1__ZDBIMPORT_REQUEST__INIT;
    autoreply Storage__V1__ZDBImportReply *reply = NULL;
    const char *data = session_flag(session, "data"), *index = session_flag(session, "index");
    if (!data || !index)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, NULL,
                       "--data and --index are required, as in --data /srv/zdb-data --index "
                       "/srv/zdb-index");
    if (!session->timeout_given)
        session->timeout_ms = RPC_DEADLINE_MAX_MS;
    request.pool = (char *)(uintptr_t)session->args[0];
    request.data_path = (char *)(uintptr_t)data;
    request.index_path = (char *)(uintptr_t)index;
    request.dry_run = session_flag(session, "dry-run") != NULL;
    int rc = session_change(session, SERVICE "Import", &request, &reply, err);
    return rc < 0 ? rc : print_import(session, reply, err);
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
    {.name = "import",
     .args = "POOL",
     .min_args = 1,
     .max_args = 1,
     .flags = import_flags,
     .help = "copy the namespaces of another 0-db, which is stopped, into the one of a pool",
     .run = run_import},
    {0},
};

const struct command command_zdb = {
    .noun = "zdb",
    .help = "0-db: the servers of namespaces, one for each pool that needs one.",
    .verbs = verbs};
