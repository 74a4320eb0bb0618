/* The two ways to stop, see the header. State is in struct supervisor; nothing here can fail. */
#include "stop.h"

#include "base/log.h"
#include "control.h"

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
    for (size_t i = 0; i < supervisor->n_wards; i++)
        ward_drain(&supervisor->wards[i]);
    stop_next(NULL, supervisor);
}

int stop_result(const struct supervisor *supervisor, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < supervisor->n_wards; i++) {
        const struct ward *ward = &supervisor->wards[i];
        if (ward->obeyed && !*ward->left)
            continue;
        if (rc == 0)
            rc = err_set(err, ERR_FAILED_PRECONDITION, 0, "shutdown",
                         "stopped, but not everything could be given up");
        if (*ward->left)
            err_blocker(err, "%s: %s", ward->name, ward->left);
        else if (ward->told)
            err_blocker(err, "%s did not end well: %s", ward->name, ward->reason);
        else
            err_blocker(err, "%s was ending or down already and could not be told to unmount: %s",
                        ward->name, *ward->reason ? ward->reason : "it never ran");
    }
    if (rc < 0)
        err_hint(err, "unmount what is left, or start storaged and shut it down again");
    return rc;
}
