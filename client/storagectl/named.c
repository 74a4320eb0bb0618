/*
 * The verbs of what has an id and may have a name: get, release, list. The messages of the two
 * services have the same fields, so they are filled in by their descriptors.
 */
#include "command.h"

#include "base/cleanup.h"
#include "base/uuid.h"
#include "text.h"
#include "value.h"

#include <errno.h>
#include <stdio.h>

enum { METHOD_MAX = 128 };

const struct flag named_list_flags[] = {
    {"pool", "ID", "only of this pool"},
    {"type", "TYPE", "only of this type"},
    {0},
};

/* A call of the noun's service, with an empty request. */
struct named_call {
    char method[METHOD_MAX];
    ProtobufCMessage *request;
};
#define autocall __attribute__((cleanup(call_clear)))

/* What is in the request is borrowed. */
static void call_clear(struct named_call *call)
{
    free(call->request);
}

static int call_init(struct named_call *call, const struct session *session, const char *verb,
                     struct err *err)
{
    const ProtobufCServiceDescriptor *service = session->command->named->service;
    const ProtobufCMessageDescriptor *type =
        protobuf_c_service_descriptor_get_method_by_name(service, verb)->input;
    (void)snprintf(call->method, sizeof call->method, "%s/%s", service->name, verb);
    call->request = malloc(type->sizeof_message);
    if (!call->request)
        return err_errno(err, ENOMEM, call->method, "cannot ask");
    protobuf_c_message_init(type, call->request);
    return 0;
}

static int get(struct session *session, ProtobufCMessage **out_found, struct err *err)
{
    autocall struct named_call call = {0};
    char *id_or_name = (char *)(uintptr_t)session->args[0];
    int rc = call_init(&call, session, "Get", err);
    if (rc < 0)
        return rc;
    *(char **)value_place(call.request, uuid_valid(id_or_name) ? "id" : "name") = id_or_name;
    return session_call(session, call.method, call.request, out_found, err);
}

int named_find_id(struct session *session, ProtobufCMessage **out_found, char **out_id,
                  struct err *err)
{
    ProtobufCMessage *found = NULL;
    char *id = (char *)(uintptr_t)session->args[0];
    if (!uuid_valid(id)) {
        int rc = get(session, &found, err);
        if (rc < 0)
            return rc;
        id = *(char **)value_place(found, "id");
    }
    *out_found = found;
    *out_id = id;
    return 0;
}

int named_get(struct session *session, struct err *err)
{
    autoreply ProtobufCMessage *found = NULL;
    int rc = get(session, &found, err);
    return rc < 0 ? rc : session_print_object(session, found, err);
}

int named_release(struct session *session, struct err *err)
{
    autocall struct named_call call = {0};
    autoreply ProtobufCMessage *found = NULL, *reply = NULL;
    char *id = NULL;
    int rc = named_find_id(session, &found, &id, err);
    if (rc == 0)
        rc = call_init(&call, session, "Release", err);
    if (rc < 0)
        return rc;
    *(char **)value_place(call.request, "id") = id;
    rc = session_change(session, call.method, call.request, &reply, err);
    if (rc < 0)
        return rc;
    if (session->json)
        return session_print_object(session, reply, err);
    bool existed = *(protobuf_c_boolean *)value_place(reply, "existed");
    text_print(id, session->out);
    (void)fputs(existed ? " is released\n" : " was not there\n", session->out);
    return 0;
}

int named_list(struct session *session, struct err *err)
{
    const struct named *named = session->command->named;
    autocall struct named_call call = {0};
    autorows struct rows rows = {0};
    const char *pool = session_flag(session, "pool"), *type = session_flag(session, "type");
    Storage__V1__DiskType disk_type = STORAGE__V1__DISK_TYPE__DISK_TYPE_UNSPECIFIED;
    int rc = type ? session_parse_type(type, &disk_type, err) : 0;
    if (rc == 0)
        rc = call_init(&call, session, "List", err);
    if (rc < 0)
        return rc;
    if (pool)
        *(char **)value_place(call.request, "pool") = (char *)(uintptr_t)pool;
    *(int *)value_place(call.request, "disk_type") = (int)disk_type;
    rc = session_list(session, call.method, call.request, named->key, &rows, err);
    return rc < 0 ? rc
                  : session_print_rows(session, named->key, named->columns, rows.rows, rows.n, err);
}
