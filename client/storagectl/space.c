/* storagectl space: directories with a size limit. */
#include "command.h"

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
     .run = named_release},
    {.name = "list", .flags = named_list_flags, .help = "all spaces", .run = named_list},
    {.name = "get",
     .args = "SPACE",
     .min_args = 1,
     .max_args = 1,
     .help = "all that is known of one, by id or name",
     .run = named_get},
    {0},
};

static const struct named named = {
    .service = &storage__v1__space_service__descriptor, .key = "spaces", .columns = space_columns};

const struct command command_space = {
    .noun = "space",
    .help = "Spaces: directories with a size limit that the kernel enforces.",
    .verbs = verbs,
    .named = &named};
