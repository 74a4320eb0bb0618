/* storagectl disk: what diskd knows and does. */
#include "command.h"

#include "base/cleanup.h"

#include <errno.h>

const struct column disk_columns[] = {
    {"ID", "id"},       {"PATH", "path"},   {"TYPE", "type"},     {"SIZE", "size_bytes"},
    {"STATE", "state"}, {"MODEL", "model"}, {"REASON", "reason"}, {0},
};

static const struct column stats_columns[] = {
    {"ID", "id"},
    {"READS", "reads"},
    {"READ", "read_bytes"},
    {"READ-MS", "read_ms"},
    {"WRITES", "writes"},
    {"WRITTEN", "written_bytes"},
    {"WRITE-MS", "write_ms"},
    {"IN-FLIGHT", "in_flight"},
    {"BUSY-MS", "busy_ms"},
    {"DISCARDED", "discarded_bytes"},
    {"FLUSHES", "flushes"},
    {0},
};

static const struct column prepared_columns[] = {
    {"FSID", "fsid"}, {"NAME", "name"}, {"PROFILE", "profile"}, {"DISKS", "disks.path"}, {0},
};

static int list_disks(struct session *session, struct rows *out_rows, struct err *err)
{
    Storage__V1__DiskListRequest request = STORAGE__V1__DISK_LIST_REQUEST__INIT;
    return session_list(session, "storage.v1.DiskService/List", &request.base, "disks", out_rows,
                        err);
}

static int run_list(struct session *session, struct err *err)
{
    autorows struct rows rows = {0};
    int rc = list_disks(session, &rows, err);
    return rc < 0 ? rc : session_print_rows(session, "disks", disk_columns, rows.rows, rows.n, err);
}

static int run_get(struct session *session, struct err *err)
{
    Storage__V1__DiskGetRequest request = STORAGE__V1__DISK_GET_REQUEST__INIT;
    autoreply Storage__V1__Disk *disk = NULL;
    request.id = (char *)(uintptr_t)session->args[0];
    int rc = session_call(session, "storage.v1.DiskService/Get", &request, &disk, err);
    return rc < 0 ? rc : session_print_object(session, &disk->base, err);
}

static int run_probe(struct session *session, struct err *err)
{
    Storage__V1__DiskProbeRequest request = STORAGE__V1__DISK_PROBE_REQUEST__INIT;
    autoreply Storage__V1__Disk *disk = NULL;
    request.id = (char *)(uintptr_t)session->args[0];
    int rc = session_change(session, "storage.v1.DiskService/Probe", &request, &disk, err);
    return rc < 0 ? rc : session_print_object(session, &disk->base, err);
}

/* --- stats ----------------------------------------------------------------------------------- */

static int ask_stats(struct session *session, const char *id, struct rows *rows, struct err *err)
{
    Storage__V1__DiskStatsRequest request = STORAGE__V1__DISK_STATS_REQUEST__INIT;
    ProtobufCMessage *stats = NULL;
    request.id = (char *)(uintptr_t)id;
    int rc = session_call(session, "storage.v1.DiskService/Stats", &request, &stats, err);
    if (rc == 0) {
        rows->replies[rows->n_replies++] = stats;
        rows->rows[rows->n++] = stats;
    }
    return rc;
}

/* A disk that vanished since it was listed is left out. */
static int ask_stats_of_all(struct session *session, const struct rows *disks, struct rows *rows,
                            struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < disks->n && rc == 0; i++) {
        rc = ask_stats(session, ((const Storage__V1__Disk *)disks->rows[i])->id, rows, err);
        if (rc == -ERR_NOT_FOUND)
            rc = 0;
    }
    return rc;
}

static int run_stats(struct session *session, struct err *err)
{
    autorows struct rows disks = {0};
    autorows struct rows rows = {0};
    int rc = session->n_args ? 0 : list_disks(session, &disks, err);
    if (rc < 0)
        return rc;
    size_t room = session->n_args ? session->n_args : disks.n;
    rows.rows = calloc(room + 1, sizeof *rows.rows);
    rows.replies = calloc(room + 1, sizeof *rows.replies);
    if (!rows.rows || !rows.replies)
        return err_errno(err, ENOMEM, NULL, "cannot list the disks");
    rc = ask_stats_of_all(session, &disks, &rows, err);
    for (unsigned i = 0; i < session->n_args && rc == 0; i++)
        rc = ask_stats(session, session->args[i], &rows, err);
    return rc < 0 ? rc
                  : session_print_rows(session, "stats", stats_columns, rows.rows, rows.n, err);
}

/* --- prepare --------------------------------------------------------------------------------- */

static int run_prepare(struct session *session, struct err *err)
{
    Storage__V1__PreparePolicy policy = STORAGE__V1__PREPARE_POLICY__INIT;
    autoreply Storage__V1__PrepareReply *reply = NULL;
    policy.profile = STORAGE__V1__POOL_PROFILE__POOL_PROFILE_SINGLE;
    policy.disks = (char **)(uintptr_t)session->args;
    policy.n_disks = session->n_args;
    int rc = session_change(session, "storage.v1.DiskService/Prepare", &policy, &reply, err);
    if (rc < 0)
        return rc;
    return session_print_rows(session, "pools", prepared_columns,
                              (const ProtobufCMessage *const *)reply->pools, reply->n_pools, err);
}

/* --- wipe ------------------------------------------------------------------------------------ */

static const struct flag wipe_flags[] = {
    {"yes", NULL, "you mean it: all data on it is lost"},
    {"force", NULL, "also what is not storaged's; never what is in use"},
    {"pool", "ID", "the pool that it carries, if it carries one"},
    {0},
};

static int run_wipe(struct session *session, struct err *err)
{
    Storage__V1__WipeRequest request = STORAGE__V1__WIPE_REQUEST__INIT;
    autoreply Storage__V1__Disk *disk = NULL;
    const char *pool = session_flag(session, "pool");
    int rc = session_check_yes(session, err);
    if (rc < 0)
        return rc;
    request.id = (char *)(uintptr_t)session->args[0];
    request.pool = (char *)(uintptr_t)(pool ? pool : "");
    request.force = session_flag(session, "force") != NULL;
    rc = session_change(session, "storage.v1.DiskService/Wipe", &request, &disk, err);
    return rc < 0 ? rc : session_print_object(session, &disk->base, err);
}

static const struct verb verbs[] = {
    {.name = "list", .help = "all disks that storaged may see", .run = run_list},
    {.name = "get",
     .args = "DISK",
     .min_args = 1,
     .max_args = 1,
     .help = "all that is known of one, by id or path",
     .run = run_get},
    {.name = "stats",
     .args = "[DISK...]",
     .max_args = COMMAND_ARGS_MAX,
     .help = "the kernel's counters since the disk appeared",
     .run = run_stats},
    {.name = "probe",
     .args = "DISK",
     .min_args = 1,
     .max_args = 1,
     .help = "read it again, and print what was found",
     .run = run_probe},
    {.name = "prepare",
     .args = "DISK...",
     .min_args = 1,
     .max_args = COMMAND_ARGS_MAX,
     .help = "make one pool of each; they must be blank",
     .run = run_prepare},
    {.name = "wipe",
     .args = "ID",
     .min_args = 1,
     .max_args = 1,
     .flags = wipe_flags,
     .help = "make it blank, by its exact id",
     .run = run_wipe},
    {0},
};

const struct command command_disk = {
    .noun = "disk", .help = "Disks: found, classified, made into pools.", .verbs = verbs};
