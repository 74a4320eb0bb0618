/* storagectl space: directories with a size limit. */
#include "command.h"

#include "base/uuid.h"
#include "text.h"

static const struct column space_columns[] = {
    {"ID", "id"},           {"NAME", "name"},         {"TYPE", "disk_type"},
    {"SIZE", "size_bytes"}, {"LIMIT", "limit_bytes"}, {"USED", "used_bytes"},
    {"STATE", "state"},     {"PATH", "path"},         {0},
};

/* --- reserve --------------------------------------------------------------------------------- */

static const struct flag reserve_flags[] = {
    {"type", "TYPE", "ssd or hdd; required"},
    {"size", "SIZE", "512M, 1G, ...; required"},
    {"name", "NAME", "unique; the same again gives the same space"},
    {"uid", "UID", "who owns it, with --gid; the caller"},
    {"gid", "GID", "see --uid"},
    {"mode", "MODE", "permission bits, octal; 0700"},
    {0},
};

static int read_owner(const struct session *session, Storage__V1__ReserveRequest *request,
                      Storage__V1__Owner *owner, struct err *err)
{
    bool has_uid = session_flag(session, "uid"), has_gid = session_flag(session, "gid");
    if (has_uid != has_gid)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, NULL, "--uid and --gid go together");
    if (has_uid)
        request->owner = owner;
    int rc = session_flag_u32(session, "uid", 10, &owner->uid, err);
    return rc < 0 ? rc : session_flag_u32(session, "gid", 10, &owner->gid, err);
}

static int read_request(const struct session *session, Storage__V1__ReserveRequest *request,
                        Storage__V1__Owner *owner, struct err *err)
{
    const char *type = session_flag(session, "type"), *name = session_flag(session, "name");
    if (!type || !session_flag(session, "size"))
        return err_set(err, ERR_INVALID_ARGUMENT, 0, NULL,
                       "--type and --size are required, as in --type ssd --size 1G");
    if (name)
        request->name = (char *)(uintptr_t)name;
    int rc = session_parse_type(type, &request->disk_type, err);
    if (rc == 0)
        rc = session_flag_size(session, "size", &request->size_bytes, err);
    if (rc == 0)
        rc = session_flag_u32(session, "mode", 8, &request->mode, err);
    return rc < 0 ? rc : read_owner(session, request, owner, err);
}

static int run_reserve(struct session *session, struct err *err)
{
    Storage__V1__ReserveRequest request = STORAGE__V1__RESERVE_REQUEST__INIT;
    Storage__V1__Owner owner = STORAGE__V1__OWNER__INIT;
    autoreply Storage__V1__Space *space = NULL;
    int rc = read_request(session, &request, &owner, err);
    if (rc == 0)
        rc = session_change(session, "storage.v1.SpaceService/Reserve", &request, &space, err);
    return rc < 0 ? rc : session_print_object(session, &space->base, err);
}

/* --- get, release, list ---------------------------------------------------------------------- */

static int get(struct session *session, const char *id_or_name, Storage__V1__Space **out_space,
               struct err *err)
{
    Storage__V1__SpaceGetRequest request = STORAGE__V1__SPACE_GET_REQUEST__INIT;
    if (uuid_valid(id_or_name))
        request.id = (char *)(uintptr_t)id_or_name;
    else
        request.name = (char *)(uintptr_t)id_or_name;
    return session_call(session, "storage.v1.SpaceService/Get", &request, out_space, err);
}

static int run_get(struct session *session, struct err *err)
{
    autoreply Storage__V1__Space *space = NULL;
    int rc = get(session, session->args[0], &space, err);
    return rc < 0 ? rc : session_print_object(session, &space->base, err);
}

static int run_release(struct session *session, struct err *err)
{
    Storage__V1__ReleaseRequest request = STORAGE__V1__RELEASE_REQUEST__INIT;
    autoreply Storage__V1__Space *space = NULL;
    autoreply Storage__V1__ReleaseReply *reply = NULL;
    request.id = (char *)(uintptr_t)session->args[0];
    int rc = 0;
    if (!uuid_valid(request.id) && (rc = get(session, request.id, &space, err)) == 0)
        request.id = space->id;
    if (rc == 0)
        rc = session_change(session, "storage.v1.SpaceService/Release", &request, &reply, err);
    if (rc < 0)
        return rc;
    if (session->json)
        return session_print_object(session, &reply->base, err);
    text_print(request.id, session->out);
    (void)fputs(reply->existed ? " is released\n" : " was not there\n", session->out);
    return 0;
}

static const struct flag list_flags[] = {
    {"pool", "ID", "only of this pool"},
    {"type", "TYPE", "only of this type"},
    {0},
};

static int run_list(struct session *session, struct err *err)
{
    Storage__V1__SpaceListRequest request = STORAGE__V1__SPACE_LIST_REQUEST__INIT;
    autorows struct rows rows = {0};
    const char *pool = session_flag(session, "pool"), *type = session_flag(session, "type");
    if (pool)
        request.pool = (char *)(uintptr_t)pool;
    int rc = type ? session_parse_type(type, &request.disk_type, err) : 0;
    if (rc == 0)
        rc = session_list(session, "storage.v1.SpaceService/List", &request.base, "spaces", &rows,
                          err);
    return rc < 0 ? rc
                  : session_print_rows(session, "spaces", space_columns, rows.rows, rows.n, err);
}

static const struct verb verbs[] = {
    {.name = "reserve",
     .flags = reserve_flags,
     .help = "reserve one, or find what an earlier try made",
     .run = run_reserve},
    {.name = "release",
     .args = "SPACE",
     .min_args = 1,
     .max_args = 1,
     .help = "destroy one with all that is in it, by id or name",
     .run = run_release},
    {.name = "list", .flags = list_flags, .help = "all spaces", .run = run_list},
    {.name = "get",
     .args = "SPACE",
     .min_args = 1,
     .max_args = 1,
     .help = "all that is known of one, by id or name",
     .run = run_get},
    {0},
};

const struct command command_space = {
    .noun = "space",
    .help = "Spaces: directories with a size limit that the kernel enforces.",
    .verbs = verbs};
