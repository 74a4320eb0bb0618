/* The two ways to stop, see the header. State is in struct supervisor; nothing here can fail. */
#include "stop.h"

#include "base/log.h"
#include "control.h"

#include <string.h>

/* The last ward that does not rest, or NULL. */
static struct ward *next_ward(struct supervisor *supervisor)
{
    for (size_t i = supervisor->n_wards; i > 0; i--)
        if (!ward_is_stopped(&supervisor->wards[i - 1]))
            return &supervisor->wards[i - 1];
    return NULL;
}

static void finish(struct supervisor *supervisor)
{
    if (supervisor->stopped)
        return;
    supervisor->stopped = true;
    log_info("all workers have ended");
    if (supervisor->shutdown)
        control_answer_shutdown(supervisor->control);
    uv_stop(supervisor->loop);
}

void stop_next(struct ward *ward, void *data)
{
    struct supervisor *supervisor = data;
    (void)ward;
    struct ward *next = next_ward(supervisor);
    if (next)
        ward_stop(next, supervisor->shutdown);
    else
        finish(supervisor);
}

void stop_begin(struct supervisor *supervisor, bool shutdown)
{
    if (supervisor->stopping)
        return;
    supervisor->stopping = true;
    supervisor->shutdown = shutdown;
    log_info(shutdown ? "shutting down: workers end and unmount"
                      : "stopping: workers end, mounts stay");
    stop_next(NULL, supervisor);
}

int stop_result(const struct supervisor *supervisor, struct err *err)
{
    static const char killed[] = "hung: ";
    int rc = 0;
    for (size_t i = 0; i < supervisor->n_wards; i++) {
        const struct ward *ward = &supervisor->wards[i];
        bool was_killed = strncmp(ward->reason, killed, sizeof killed - 1) == 0;
        const char *why = *ward->left ? ward->left : was_killed ? ward->reason : NULL;
        if (!why)
            continue;
        if (rc == 0)
            rc = err_set(err, ERR_FAILED_PRECONDITION, 0, "shutdown",
                         "stopped, but not everything could be given up");
        err_blocker(err, "%s: %s", ward->name, why);
    }
    return rc;
}
