/* storagectl namespace: key-value stores with a limit and a password. */
#include "command.h"

#include "value.h"

#include <string.h>

#define SERVICE "storage.v1.NamespaceService/"

const struct column namespace_columns[] = {
    {"ID", "id"},
    {"NAME", "name"},
    {"TYPE", "disk_type"},
    {"MODE", "mode"},
    {"SIZE", "size_bytes"},
    {"STATE", "state"},
    {"PUBLIC", "public"},
    {"LOCKED", "locked"},
    {"FROZEN", "frozen"},
    {"PORT", "port"},
    {"POOL", "pool"},
    {"REASON", "reason"},
    {0},
};

/* --- reserve --------------------------------------------------------------------------------- */

#define PASSWORD_HELP "its first line is the password, 1 to 63 bytes; - is stdin; required"

static const struct flag reserve_flags[] = {
    {"type", "TYPE", "ssd or hdd; required"},
    {"size", "SIZE", "of all values together: 512M, 1G, ...; required"},
    {"mode", "MODE", "user (keys are the client's) or sequential (the 0-db gives them); required"},
    {"password-file", "FILE", PASSWORD_HELP},
    {"name", "NAME", "unique; the same again gives the same namespace"},
    {"public", NULL, "whoever has no password may read"},
    {0},
};

static int parse_mode(const char *text, Storage__V1__ZDBMode *out_mode, struct err *err)
{
    int number;
    if (value_enum_parse(&storage__v1__zdbmode__descriptor, text, &number) < 0)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "mode",
                       "a mode is user or sequential; not \"%s\"", text);
    *out_mode = (Storage__V1__ZDBMode)number;
    return 0;
}

static int read_request(const struct session *session,
                        Storage__V1__NamespaceReserveRequest *request, struct err *err)
{
    const char *type = session_flag(session, "type"), *mode = session_flag(session, "mode"),
               *name = session_flag(session, "name");
    if (!type || !mode || !session_flag(session, "size"))
        return err_set(err, ERR_INVALID_ARGUMENT, 0, NULL,
                       "--type, --size and --mode are required, as in --type ssd --size 1G --mode "
                       "user");
    if (name)
        request->name = (char *)(uintptr_t)name;
    request->public_ = session_flag(session, "public") != NULL;
    int rc = session_parse_type(type, &request->disk_type, err);
    if (rc == 0)
        rc = session_flag_size(session, "size", &request->size_bytes, err);
    return rc < 0 ? rc : parse_mode(mode, &request->mode, err);
}

static int run_reserve(struct session *session, struct err *err)
{
    Storage__V1__NamespaceReserveRequest request = STORAGE__V1__NAMESPACE_RESERVE_REQUEST__INIT;
    autopassword struct password password = {0};
    autoreply Storage__V1__ZDBNamespace *made = NULL;
    int rc = read_request(session, &request, err);
    if (rc == 0)
        rc = session_read_password(session, &password, err);
    request.password = (ProtobufCBinaryData){password.length, password.bytes};
    if (rc == 0)
        rc = session_change(session, SERVICE "Reserve", &request, &made, err);
    return rc < 0 ? rc : session_print_object(session, &made->base, err);
}

/* --- usage ---------------------------------------------------------------------------------- */

static int run_usage(struct session *session, struct err *err)
{
    Storage__V1__NamespaceUsageRequest request = STORAGE__V1__NAMESPACE_USAGE_REQUEST__INIT;
    autoreply ProtobufCMessage *found = NULL;
    autoreply Storage__V1__NamespaceUsage *usage = NULL;
    int rc = named_find_id(session, &found, &request.id, err);
    if (rc == 0)
        rc = session_call(session, SERVICE "Usage", &request, &usage, err);
    return rc < 0 ? rc : session_print_object(session, &usage->base, err);
}

/* --- changes --------------------------------------------------------------------------------- */

/* `id` is the request's own field. */
static int change(struct session *session, const char *method, const ProtobufCMessage *request,
                  char **id, struct err *err)
{
    autoreply ProtobufCMessage *found = NULL;
    autoreply Storage__V1__ZDBNamespace *changed = NULL;
    int rc = named_find_id(session, &found, id, err);
    if (rc == 0)
        rc = session_change(session, method, request, &changed, err);
    return rc < 0 ? rc : session_print_object(session, &changed->base, err);
}

static const struct flag resize_flags[] = {
    {"size", "SIZE", "the new one, not below what is stored; required"},
    {0},
};

static int run_resize(struct session *session, struct err *err)
{
    Storage__V1__NamespaceResizeRequest request = STORAGE__V1__NAMESPACE_RESIZE_REQUEST__INIT;
    if (!session_flag(session, "size"))
        return err_set(err, ERR_INVALID_ARGUMENT, 0, NULL, "--size is required, as in --size 2G");
    int rc = session_flag_size(session, "size", &request.size_bytes, err);
    return rc < 0 ? rc : change(session, SERVICE "Resize", &request.base, &request.id, err);
}

static const struct flag password_flags[] = {
    {"password-file", "FILE", PASSWORD_HELP},
    {0},
};

static int run_password(struct session *session, struct err *err)
{
    Storage__V1__NamespaceSetPasswordRequest request =
        STORAGE__V1__NAMESPACE_SET_PASSWORD_REQUEST__INIT;
    autopassword struct password password = {0};
    int rc = session_read_password(session, &password, err);
    request.password = (ProtobufCBinaryData){password.length, password.bytes};
    return rc < 0 ? rc : change(session, SERVICE "SetPassword", &request.base, &request.id, err);
}

static int run_public(struct session *session, struct err *err)
{
    Storage__V1__NamespaceSetPublicRequest request =
        STORAGE__V1__NAMESPACE_SET_PUBLIC_REQUEST__INIT;
    const char *word = session->args[1];
    request.public_ = strcmp(word, "yes") == 0;
    if (!request.public_ && strcmp(word, "no") != 0)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "public",
                       "it is public: yes or no; not \"%s\"", word);
    return change(session, SERVICE "SetPublic", &request.base, &request.id, err);
}

static int lock(struct session *session, bool locked, struct err *err)
{
    Storage__V1__NamespaceLockRequest request = STORAGE__V1__NAMESPACE_LOCK_REQUEST__INIT;
    request.locked = locked;
    return change(session, SERVICE "Lock", &request.base, &request.id, err);
}

static int run_lock(struct session *session, struct err *err)
{
    return lock(session, true, err);
}

static int run_unlock(struct session *session, struct err *err)
{
    return lock(session, false, err);
}

static int freeze(struct session *session, bool frozen, struct err *err)
{
    Storage__V1__NamespaceFreezeRequest request = STORAGE__V1__NAMESPACE_FREEZE_REQUEST__INIT;
    request.frozen = frozen;
    return change(session, SERVICE "Freeze", &request.base, &request.id, err);
}

static int run_freeze(struct session *session, struct err *err)
{
    return freeze(session, true, err);
}

static int run_unfreeze(struct session *session, struct err *err)
{
    return freeze(session, false, err);
}

#define ONE .args = "NAMESPACE", .min_args = 1, .max_args = 1

static const struct verb verbs[] = {
    {.name = "reserve",
     .flags = reserve_flags,
     .help = "reserve one, or find what an earlier try made",
     .run = run_reserve},
    {.name = "release",
     ONE,
     .help = "destroy one with all that is in it, by id or name",
     .run = named_release},
    {.name = "list", .flags = named_list_flags, .help = "all namespaces", .run = named_list},
    {.name = "get", ONE, .help = "all that is known of one, by id or name", .run = named_get},
    {.name = "usage", ONE, .help = "what is in it, asked of its 0-db", .run = run_usage},
    {.name = "resize", ONE, .flags = resize_flags, .help = "grow or shrink it", .run = run_resize},
    {.name = "password",
     ONE,
     .flags = password_flags,
     .help = "change it; who is inside stays",
     .run = run_password},
    {.name = "public",
     .args = "NAMESPACE yes|no",
     .min_args = 2,
     .max_args = 2,
     .help = "whether who has no password may read",
     .run = run_public},
    {.name = "lock", ONE, .help = "let nobody write", .run = run_lock},
    {.name = "unlock", ONE, .help = "let them write again", .run = run_unlock},
    {.name = "freeze", ONE, .help = "let nobody read or write", .run = run_freeze},
    {.name = "unfreeze", ONE, .help = "let them in again", .run = run_unfreeze},
    {0},
};

static const struct named named = {.service = &storage__v1__namespace_service__descriptor,
                                   .key = "namespaces",
                                   .columns = namespace_columns};

const struct command command_namespace = {
    .noun = "namespace",
    .help = "Namespaces: key-value stores with a limit and a password, each in the 0-db of a pool.",
    .verbs = verbs,
    .named = &named};
