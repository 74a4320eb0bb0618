/* What every verb needs: the handle, whole lists, and one way to print. */
#include "command.h"

#include "base/cleanup.h"
#include "value.h"

#include <errno.h>
#include <string.h>

enum { PAGES_MAX = 100000, IMPATIENT_MS = 3000 };

int session_open(struct session *session, struct err *err)
{
    if (session->storage)
        return 0;
    bool wait = !session->verb->impatient;
    uint32_t most_ms = wait ? UINT32_MAX : IMPATIENT_MS;
    struct storage_options options = {
        .run_dir = session->run_dir,
        .timeout_ms = session->timeout_ms < most_ms ? session->timeout_ms : most_ms,
        .wait = wait,
    };
    return storage_open(&options, &session->storage, err);
}

void session_close(struct session *session)
{
    storage_close(session->storage);
    session->storage = NULL;
}

int session_call(struct session *session, const char *method, const void *input, void *out_reply,
                 struct err *err)
{
    int rc = session_open(session, err);
    return rc < 0 ? rc : storage_call(session->storage, method, input, out_reply, err);
}

int session_change(struct session *session, const char *method, const void *input, void *out_reply,
                   struct err *err)
{
    int rc = session_open(session, err);
    if (rc == 0 && session->request_id)
        rc = storage_set_request_id(session->storage, session->request_id, err);
    return rc < 0 ? rc : storage_call(session->storage, method, input, out_reply, err);
}

int session_workers(struct session *session, Storage__V1__ControlReply **out_reply, struct err *err)
{
    Storage__V1__WorkerListRequest list = STORAGE__V1__WORKER_LIST_REQUEST__INIT;
    Storage__V1__ControlRequest request = STORAGE__V1__CONTROL_REQUEST__INIT;
    request.verb_case = STORAGE__V1__CONTROL_REQUEST__VERB_LIST;
    request.list = &list;
    Storage__V1__ControlReply *reply = NULL;
    int rc = session_open(session, err);
    if (rc == 0)
        rc = storage_control(session->storage, &request, &reply, err);
    if (rc == 0 && !reply->list) {
        storage_free(reply);
        rc = err_set(err, ERR_INTERNAL, 0, "storaged", "it answered without its workers");
    }
    if (rc == 0)
        *out_reply = reply;
    return rc;
}

/* --- lists ----------------------------------------------------------------------------------- */

void rows_free(struct rows *rows)
{
    for (size_t i = 0; i < rows->n_replies; i++)
        storage_free(rows->replies[i]);
    free(rows->replies);
    free(rows->rows);
    *rows = (struct rows){0};
}

/* Takes the reply, also when it fails. */
static int add_page(struct rows *rows, ProtobufCMessage *reply, const char *key)
{
    ProtobufCMessage **replies = reallocarray(rows->replies, rows->n_replies + 1, sizeof *replies);
    if (!replies) {
        storage_free(reply);
        return -ERR_RESOURCE_EXHAUSTED;
    }
    rows->replies = replies;
    rows->replies[rows->n_replies++] = reply;
    struct value value = {reply, value_find(reply->descriptor, key)};
    size_t n = value_count(&value);
    const ProtobufCMessage **grown = reallocarray(rows->rows, rows->n + n + 1, sizeof *grown);
    if (!grown)
        return -ERR_RESOURCE_EXHAUSTED;
    rows->rows = grown;
    for (size_t i = 0; i < n; i++)
        rows->rows[rows->n++] = value_message_at(&value, i);
    return 0;
}

int session_list(struct session *session, const char *method, ProtobufCMessage *request,
                 const char *key, struct rows *out_rows, struct err *err)
{
    autorows struct rows rows = {0};
    for (unsigned page = 0; page < PAGES_MAX; page++) {
        ProtobufCMessage *reply = NULL;
        int rc = session_call(session, method, request, &reply, err);
        if (rc < 0)
            return rc;
        if (add_page(&rows, reply, key) < 0)
            return err_errno(err, ENOMEM, method, "cannot keep the list");
        char *token = *(char **)value_place(reply, "next_page_token");
        if (!*token) {
            *out_rows = rows;
            rows = (struct rows){0};
            return 0;
        }
        *(char **)value_place(request, "page_token") = token; /* lives as long as the rows */
    }
    return err_set(err, ERR_INTERNAL, 0, method, "the list has no end");
}

/* --- printing -------------------------------------------------------------------------------- */

int session_print_rows(const struct session *session, const char *key, const struct column *columns,
                       const ProtobufCMessage *const *rows, size_t n, struct err *err)
{
    if (!session->json)
        return table_print(columns, rows, n, session->out, err);
    struct json json = {.out = session->out};
    json_open(&json, NULL, '{');
    json_open(&json, key, '[');
    for (size_t i = 0; i < n; i++)
        json_message(&json, NULL, rows[i]);
    json_close(&json, '[');
    json_close(&json, '{');
    return 0;
}

int session_print_object(const struct session *session, const ProtobufCMessage *message,
                         struct err *err)
{
    if (!session->json)
        return table_print_record(message, session->out, err);
    struct json json = {.out = session->out};
    json_message(&json, NULL, message);
    return 0;
}
