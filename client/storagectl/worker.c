/* storagectl worker: the supervisor's view of its workers. */
#include "command.h"

#include <string.h>

const struct column worker_columns[] = {
    {"NAME", "name"},
    {"STATE", "state"},
    {"PID", "pid"},
    {"RESTARTS", "restarts"},
    {"SINCE", "since_us"},
    {"STATUS", "status"},
    {"LAST-END", "exit_reason"},
    {0},
};

/* The workers of a reply: all, or the one of this name. */
static int print(const struct session *session, const Storage__V1__ControlReply *reply,
                 const char *name, struct err *err)
{
    size_t first = 0, n = reply->list ? reply->list->n_workers : 0;
    for (size_t i = 0; name && i < n; i++) {
        if (strcmp(reply->list->workers[i]->name, name) == 0) {
            first = i;
            n = 1;
        }
    }
    const ProtobufCMessage *const *rows =
        n ? (const ProtobufCMessage *const *)reply->list->workers + first : NULL;
    return session_print_rows(session, "workers", worker_columns, rows, n, err);
}

static int run_list(struct session *session, struct err *err)
{
    autoreply Storage__V1__ControlReply *reply = NULL;
    int rc = session_workers(session, &reply, err);
    return rc < 0 ? rc : print(session, reply, NULL, err);
}

/* `request` has its verb set. */
static int ask(struct session *session, Storage__V1__ControlRequest *request, struct err *err)
{
    autoreply Storage__V1__ControlReply *reply = NULL;
    int rc = session_open(session, err);
    if (rc == 0)
        rc = storage_control(session->storage, request, &reply, err);
    return rc < 0 ? rc : print(session, reply, session->args[0], err);
}

static int run_restart(struct session *session, struct err *err)
{
    Storage__V1__WorkerRequest worker = STORAGE__V1__WORKER_REQUEST__INIT;
    Storage__V1__ControlRequest request = STORAGE__V1__CONTROL_REQUEST__INIT;
    worker.name = (char *)(uintptr_t)session->args[0];
    request.verb_case = STORAGE__V1__CONTROL_REQUEST__VERB_RESTART;
    request.restart = &worker;
    return ask(session, &request, err);
}

static int run_reset(struct session *session, struct err *err)
{
    Storage__V1__WorkerRequest worker = STORAGE__V1__WORKER_REQUEST__INIT;
    Storage__V1__ControlRequest request = STORAGE__V1__CONTROL_REQUEST__INIT;
    worker.name = (char *)(uintptr_t)session->args[0];
    request.verb_case = STORAGE__V1__CONTROL_REQUEST__VERB_RESET;
    request.reset = &worker;
    return ask(session, &request, err);
}

static const struct verb verbs[] = {
    {.name = "list", .help = "the workers, and how each is", .run = run_list},
    {.name = "restart",
     .args = "WORKER",
     .min_args = 1,
     .max_args = 1,
     .help = "end it and start it again",
     .run = run_restart},
    {.name = "reset",
     .args = "WORKER",
     .min_args = 1,
     .max_args = 1,
     .help = "forget its failures and start it now",
     .run = run_reset},
    {0},
};

const struct command command_worker = {
    .noun = "worker",
    .help = "Workers: the processes that storaged starts, watches and restarts.",
    .verbs = verbs};
