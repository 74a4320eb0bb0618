/* storagectl shutdown: stop all, unmount all; what stays busy is named by the error. */
#include "command.h"

static int run(struct session *session, struct err *err)
{
    Storage__V1__ShutdownRequest shutdown = STORAGE__V1__SHUTDOWN_REQUEST__INIT;
    Storage__V1__ControlRequest request = STORAGE__V1__CONTROL_REQUEST__INIT;
    autoreply Storage__V1__ControlReply *reply = NULL;
    request.verb_case = STORAGE__V1__CONTROL_REQUEST__VERB_SHUTDOWN;
    request.shutdown = &shutdown;
    int rc = session_open(session, err);
    if (rc == 0)
        rc = storage_control(session->storage, &request, &reply, err);
    if (rc < 0)
        return rc;
    if (session->json) {
        struct json json = {.out = session->out};
        json_open(&json, NULL, '{');
        json_bool(&json, "stopped", true);
        json_close(&json, '{');
    } else {
        (void)fputs("all workers have stopped, and nothing is left mounted\n", session->out);
    }
    return 0;
}

static const struct verb verbs[] = {
    {.help = "stop storaged and unmount everything", .run = run},
    {0},
};

const struct command command_shutdown = {
    .noun = "shutdown",
    .help = "Stops all workers, unmounts pools and cache, and ends storaged.\n"
            "What stays busy is named, and left as it is (exit code 4).\n"
            "To stop it and leave the mounts for the next start, send storaged a SIGTERM.",
    .verbs = verbs};
