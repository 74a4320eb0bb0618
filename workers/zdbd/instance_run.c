/*
 * The states of an instance, and what moves it: what is wanted of it, what becomes of its process
 * and of the link to it. A process is there in STARTING, UP and STOPPING, and only then; a link in
 * UP, and in STARTING once the launcher has become the 0-db.
 *
 * Whoever is told of a change may call back at once, so each function does that last.
 */
#include "instance_private.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define STATE(name) STORAGE__V1__ZDBSTATE__ZDB_STATE_##name
#define BIT(name)   (1u << STATE(name))

enum { STATES = 6, BACKOFF_STEPS_MAX = 24 };

static const unsigned moves[STATES] = {
    [STATE(IDLE)] = BIT(STARTING) | BIT(WAITING),
    [STATE(STARTING)] = BIT(UP) | BIT(WAITING) | BIT(STOPPING) | BIT(IDLE),
    [STATE(UP)] = BIT(STARTING) | BIT(WAITING) | BIT(STOPPING) | BIT(IDLE),
    [STATE(WAITING)] = BIT(STARTING) | BIT(WAITING) | BIT(IDLE),
    [STATE(STOPPING)] = BIT(WAITING) | BIT(IDLE),
};

/* `reason` may be NULL: what it was last stays. */
static void move(struct instance *instance, Storage__V1__ZDBState to, const char *reason)
{
    Storage__V1__ZDBState was = instance->state;
    if (!(moves[was] & 1u << to)) {
        log_error("a 0-db cannot change so", "pool", instance->pool, "from",
                  instance_state_text(was), "to", instance_state_text(to));
        return;
    }
    instance->state = to;
    if (reason && reason != instance->reason)
        (void)snprintf(instance->reason, sizeof instance->reason, "%s", reason);
    if (!instance->closing)
        instance->callbacks.changed(instance, was, instance->callbacks.data);
}

static void on_timer(uv_timer_t *timer);

static void set_timer(struct instance *instance, uint64_t ms)
{
    (void)uv_timer_start(&instance->timer, on_timer, ms, 0);
}

static void drop_link(struct instance *instance)
{
    health_end(instance);
    if (instance->link)
        link_close(take_ptr(instance->link));
}

static void drop_process(struct instance *instance)
{
    drop_link(instance);
    if (instance->process)
        process_close(take_ptr(instance->process));
    (void)uv_timer_stop(&instance->timer);
}

/* --- the next try ---------------------------------------------------------------------------- */

static uint32_t take_delay(struct instance *instance)
{
    const struct instance_times *times = instance_times();
    uint64_t delay = 0;
    bool at_once = instance->at_once;
    instance->at_once = false;
    if (at_once)
        return 0;
    if (instance->failures > 0)
        delay = (uint64_t)times->backoff_min_ms << (instance->failures - 1);
    if (instance->failures < BACKOFF_STEPS_MAX)
        instance->failures++;
    return delay < times->backoff_max_ms ? (uint32_t)delay : times->backoff_max_ms;
}

/* There is no process any more. */
static void go_on(struct instance *instance, const char *reason)
{
    if (!instance->wanted) {
        move(instance, STATE(IDLE), reason);
        return;
    }
    set_timer(instance, take_delay(instance));
    move(instance, STATE(WAITING), reason);
}

static void fail(struct instance *instance, const char *reason)
{
    if (strcmp(reason, instance->reason) != 0)
        instance_tell(instance, "zdb.failed", reason);
    go_on(instance, reason);
}

/* --- ending a process ------------------------------------------------------------------------ */

static void end_process(struct instance *instance, int signal, const char *reason)
{
    drop_link(instance);
    instance->killed = signal == SIGKILL;
    process_signal(instance->process, signal);
    set_timer(instance, instance_times()->stop_ms);
    move(instance, STATE(STOPPING), reason);
}

void instance_kill(struct instance *instance, const char *reason)
{
    end_process(instance, SIGKILL, reason);
}

/* One whose disk hangs in the kernel does not end; nothing else is to be done than to wait. */
static void end_harder(struct instance *instance)
{
    process_signal(instance->process, SIGKILL);
    if (instance->killed) {
        (void)snprintf(instance->reason, sizeof instance->reason,
                       "process %d does not end, though it was killed",
                       (int)process_pid(instance->process));
        log_warning("a 0-db does not end", "pool", instance->pool, "reason", instance->reason);
        return;
    }
    instance->killed = true;
    set_timer(instance, instance_times()->stop_ms);
}

/* --- the link -------------------------------------------------------------------------------- */

static void open_link(struct instance *instance);

static void on_up(void *data)
{
    struct instance *instance = data;
    set_timer(instance, instance_times()->forget_ms);
    health_begin(instance);
    move(instance, STATE(UP), NULL);
}

/* As a rule its process is just about to end. One that runs on may have done with us alone. */
static void link_again(struct instance *instance, const char *reason)
{
    if (instance->relinks++ < INSTANCE_RELINKS_MAX) {
        open_link(instance);
        if (instance->state == STATE(UP))
            move(instance, STATE(STARTING), reason);
        return;
    }
    instance_tell(instance, "zdb.unhealthy", reason);
    instance_kill(instance, reason);
}

static void on_lost(enum link_loss loss, const char *reason, void *data)
{
    struct instance *instance = data;
    drop_link(instance);
    (void)uv_timer_stop(&instance->timer);
    if (loss == LINK_CLOSED) {
        link_again(instance, reason);
        return;
    }
    instance_tell(instance, loss == LINK_HUNG ? "zdb.hung" : "zdb.unhealthy", reason);
    instance_kill(instance, reason);
}

static void open_link(struct instance *instance)
{
    autoerr struct err err = {0};
    const struct link_callbacks callbacks = {.up = on_up, .lost = on_lost, .data = instance};
    int rc = link_open(instance->loop, instance->settings->run_dir, instance->pool,
                       process_pid(instance->process), &callbacks, &instance->link, &err);
    if (rc < 0)
        instance_kill(instance, err.message);
}

/* --- the process ----------------------------------------------------------------------------- */

static void launch(struct instance *instance);

static void split_missing(struct instance *instance)
{
    char *rest = instance->missing;
    (void)snprintf(instance->missing, sizeof instance->missing, "%s", instance->record.missing);
    instance->n_missing = 0;
    for (char *word; instance->n_missing < INSTANCE_MISSING_MAX && (word = strsep(&rest, " "));)
        if (*word)
            instance->missing_words[instance->n_missing++] = word;
}

static void take_record(struct instance *instance, const struct zdb_record *record)
{
    instance->record = *record;
    instance->busy_ports = 0;
    instance->relinks = 0;
    instance->starts++;
    split_missing(instance);
    health_forget(instance);
}

static void on_launched(const struct zdb_record *record, void *data)
{
    struct instance *instance = data;
    (void)uv_timer_stop(&instance->timer);
    take_record(instance, record);
    instance->adopted = false;
    instance_tell(instance, "zdb.launched", "");
    if (instance->state == STATE(STARTING))
        open_link(instance);
}

static void on_ended(const char *reason, void *data)
{
    struct instance *instance = data;
    drop_process(instance);
    instance_tell(instance, "zdb.ended", reason);
    /* What it was told to end for says more than how it did. */
    go_on(instance, instance->state == STATE(STOPPING) ? instance->reason : reason);
}

static int adopt(struct instance *instance, struct err *err);

/* Somebody has the home: a 0-db that an earlier zdbd started, or a launcher of its that still
 * works. */
static void on_locked(struct instance *instance, const char *message)
{
    if (adopt(instance, NULL) < 0) {
        fail(instance, message);
        return;
    }
    instance_tell(instance, "zdb.adopted", "");
    open_link(instance);
}

/* In a ring, once around. */
static void try_next_port(struct instance *instance, const char *message)
{
    const struct settings_range *ports = &instance->settings->zdb_ports;
    bool is_last = instance->proposed >= ports->last || instance->proposed < ports->first;
    instance->proposed = (uint16_t)(is_last ? ports->first : instance->proposed + 1u);
    if (instance->busy_ports++ < ports->last - ports->first) {
        launch(instance);
        return;
    }
    instance->busy_ports = 0;
    fail(instance, message);
}

static void on_failed(const struct launch_report *report, void *data)
{
    struct instance *instance = data;
    drop_process(instance);
    if (instance->state == STATE(STOPPING))
        go_on(instance, instance->reason);
    else if (report->failure == LAUNCH_LOCKED)
        on_locked(instance, report->message);
    else if (report->failure == LAUNCH_PORT_BUSY)
        try_next_port(instance, report->message);
    else
        fail(instance, report->message);
}

static struct process_callbacks callbacks_of(struct instance *instance)
{
    return (struct process_callbacks){
        .launched = on_launched, .failed = on_failed, .ended = on_ended, .data = instance};
}

static void launch(struct instance *instance)
{
    autoerr struct err err = {0};
    const struct process_callbacks callbacks = callbacks_of(instance);
    struct process_home home = instance->home;
    home.port = instance->proposed;
    autoclose int gates = -1;
    int rc = 0;
    if (instance->callbacks.gates)
        rc = instance->callbacks.gates(instance, &gates, instance->callbacks.data, &err);
    if (rc == 0)
        rc = process_launch(instance->loop, instance->settings, &home, gates, &callbacks,
                            &instance->process, &err);
    if (rc < 0) {
        fail(instance, err.message);
        return;
    }
    set_timer(instance, instance_times()->launch_ms);
    if (instance->state != STATE(STARTING))
        move(instance, STATE(STARTING), NULL);
}

static int adopt(struct instance *instance, struct err *err)
{
    char path[PATH_MAX];
    struct zdb_record record;
    const struct process_callbacks callbacks = callbacks_of(instance);
    (void)snprintf(path, sizeof path, "%s/zdb/%s", instance->settings->run_dir, instance->pool);
    autoclose int run_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (run_fd < 0)
        return err_errno(err, errno, path, "cannot look for a 0-db");
    int pidfd = -1;
    int rc = record_read(run_fd, instance->pool, &record, err);
    if (rc == 0)
        rc = record_find_process(&record, &pidfd, err);
    if (rc == 0)
        rc = process_adopt(instance->loop, &record, pidfd, &callbacks, &instance->process, err);
    if (rc < 0)
        return rc;
    take_record(instance, &record);
    instance->adopted = true;
    return 0;
}

static void on_timer(uv_timer_t *timer)
{
    struct instance *instance = timer->data;
    switch (instance->state) {
    case STATE(WAITING):
        launch(instance);
        break;
    case STATE(STARTING):
        instance_tell(instance, "zdb.hung", "its launcher hangs");
        instance_kill(instance, "its launcher hangs");
        break;
    case STATE(UP):
        instance->failures = instance->relinks = 0;
        break;
    default:
        end_harder(instance);
        break;
    }
}

/* --- what is wanted -------------------------------------------------------------------------- */

int instance_adopt(struct instance *instance, struct err *err)
{
    assert(instance->state == STATE(IDLE));
    int rc = adopt(instance, err);
    if (rc < 0)
        return rc;
    instance_tell(instance, "zdb.adopted", "");
    move(instance, STATE(STARTING), NULL);
    if (instance->state == STATE(STARTING))
        open_link(instance);
    return 0;
}

void instance_want(struct instance *instance, const struct process_home *home)
{
    bool was_wanted = instance->wanted;
    if (instance->proposed == 0 || home->port != instance->home.port)
        instance->proposed = home->port;
    (void)snprintf(instance->home_path, sizeof instance->home_path, "%s", home->path);
    instance->home = *home;
    instance->home.pool = instance->pool;
    instance->home.path = instance->home_path;
    instance->wanted = true;
    if (instance->state == STATE(IDLE))
        launch(instance);
    else if (instance->state == STATE(STOPPING) && !was_wanted)
        instance->at_once = true;
}

void instance_unwant(struct instance *instance, const char *reason)
{
    bool was_wanted = instance->wanted;
    instance->wanted = instance->at_once = false;
    if (instance->state == STATE(STOPPING) && was_wanted) {
        (void)snprintf(instance->reason, sizeof instance->reason, "%s", reason);
    } else if (instance->state == STATE(WAITING)) {
        (void)uv_timer_stop(&instance->timer);
        move(instance, STATE(IDLE), reason);
    } else if (instance->state == STATE(STARTING) || instance->state == STATE(UP)) {
        end_process(instance, SIGTERM, reason);
    }
}

void instance_restart(struct instance *instance, const char *reason)
{
    if (!instance->wanted)
        return;
    instance->failures = 0;
    if (instance->state == STATE(WAITING)) {
        set_timer(instance, 0);
        return;
    }
    instance->at_once = true;
    if (instance->state != STATE(STOPPING))
        end_process(instance, SIGTERM, reason);
}
