/*
 * A ward, see the header. Everything that happens to a worker goes through apply(), which asks the
 * policy, does what it says, and writes the one log line about it.
 */
#include "ward.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "program.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>

static void apply(struct ward *ward, enum policy_event event);

static uint32_t random_from_kernel(void *data)
{
    uint32_t value = 0;
    (void)data;
    (void)!getrandom(&value, sizeof value, GRND_NONBLOCK);
    return value;
}

/* Real time, so that no two incarnations of a node share one; and never the same twice, or back. */
static uint64_t next_epoch(void)
{
    static uint64_t last;
    uint64_t now = clock_realtime_us();
    last = now > last ? now : last + 1;
    return last;
}

/* ---- what the child tells ---- */

static void on_ready(struct child *child, void *data)
{
    struct ward *ward = data;
    log_info("worker ready", "worker", ward->name, "pid", log_i64(child_pid(child)));
    apply(ward, POLICY_ON_READY);
}

static void on_hung(struct child *child, void *data)
{
    struct ward *ward = data;
    log_error("worker hung", "worker", ward->name, "pid", log_i64(child_pid(child)), "reason",
              child_reason(child), "where", *child_where(child) ? child_where(child) : NULL);
    apply(ward, POLICY_ON_HANG);
}

static void remember_end(struct ward *ward, const struct child *child)
{
    (void)snprintf(ward->reason, sizeof ward->reason, "%s", child_reason(child));
    (void)snprintf(ward->left, sizeof ward->left, "%s", child_left(child));
}

static void on_stuck(struct child *child, void *data)
{
    struct ward *ward = data;
    log_error("worker is stuck in the kernel", "worker", ward->name, "pid",
              log_i64(child_pid(child)), "where", child_where(child));
    bool stopping = ward->policy.state == POLICY_STOPPING;
    if (ward->n_stuck == WARD_STUCK_MAX && !stopping)
        return;
    remember_end(ward, child);
    if (ward->n_stuck < WARD_STUCK_MAX)
        ward->stuck[ward->n_stuck++] = child;
    ward->child = NULL;
    apply(ward, POLICY_ON_GONE);
}

static void forget_stuck(struct ward *ward, const struct child *child)
{
    for (size_t i = 0; i < ward->n_stuck; i++)
        if (ward->stuck[i] == child)
            ward->stuck[i--] = ward->stuck[--ward->n_stuck];
}

static void on_gone(struct child *child, void *data)
{
    struct ward *ward = data;
    bool was_stuck = child != ward->child;
    log_info("worker ended", "worker", ward->name, "pid", log_i64(child_pid(child)), "reason",
             child_reason(child), "was_stuck", was_stuck ? "yes" : NULL, "left",
             *child_left(child) ? child_left(child) : NULL);
    if (was_stuck) {
        forget_stuck(ward, child);
    } else {
        bool config = child_exit_code(child) == EX_CONFIG;
        remember_end(ward, child);
        ward->obeyed = ward->told && child_exit_code(child) == 0;
        ward->child = NULL;
        apply(ward, config ? POLICY_ON_CONFIG_ERROR : POLICY_ON_GONE);
    }
    child_free(child);
}

/* ---- what the policy says ---- */

static void on_due(uv_timer_t *timer)
{
    apply(timer->data, POLICY_ON_DUE);
}

static void wait_for_start(struct ward *ward)
{
    uint64_t now = clock_monotonic_ms();
    uint64_t wait_ms = ward->policy.start_at_ms > now ? ward->policy.start_at_ms - now : 0;
    (void)uv_timer_start(&ward->due, on_due, wait_ms, 0);
    log_warning(ward->policy.state == POLICY_FAILING ? "worker keeps failing" : "worker failed",
                "worker", ward->name, "reason", ward->reason, "failures",
                log_u64(ward->policy.failures), "next_start_ms", log_u64(wait_ms));
}

static void start(struct ward *ward)
{
    autoerr struct err err = {0};
    char path[WARD_PATH_MAX];
    program_find(ward->settings, ward->name, path, sizeof path);
    const struct child_options options = {
        .loop = ward->loop,
        .settings = ward->settings,
        .name = ward->name,
        .path = path,
        .args = ward->args,
        .epoch = next_epoch(),
        .tail = &ward->tail,
        .callbacks = {.ready = on_ready, .hung = on_hung, .stuck = on_stuck, .gone = on_gone},
        .data = ward,
    };
    if (child_spawn(&options, &ward->child, &err) < 0) {
        (void)snprintf(ward->reason, sizeof ward->reason, "%.*s", CHILD_REASON_MAX - 1,
                       err.message);
        apply(ward, POLICY_ON_GONE);
        return;
    }
    if (ward->draining)
        child_drain(ward->child);
    log_info("worker started", "worker", ward->name, "pid", log_i64(child_pid(ward->child)),
             "epoch", log_u64(options.epoch));
}

static void apply(struct ward *ward, enum policy_event event)
{
    enum policy_state before = ward->policy.state;
    enum policy_action action = policy_apply(&ward->policy, event, clock_monotonic_ms());
    enum policy_state state = ward->policy.state;

    if (state != before || action == POLICY_DO_START)
        ward->since_us = clock_realtime_us();
    if (state != POLICY_BACKOFF && state != POLICY_FAILING)
        (void)uv_timer_stop(&ward->due);
    if (action == POLICY_DO_WAIT)
        wait_for_start(ward);
    else if (action == POLICY_DO_START)
        start(ward);
    else if (action == POLICY_DO_STOP)
        ward->told = child_stop(ward->child, ward->shutdown);
    else if (action == POLICY_REFUSED)
        log_error("impossible event refused", "worker", ward->name, "state",
                  policy_state_name(before), "event", policy_event_name(event));
    if (state == POLICY_CONFIG && before != POLICY_CONFIG)
        log_error("worker waits for its config to change", "worker", ward->name);
    if (state == POLICY_STOPPED && before != POLICY_STOPPED)
        ward->stopped(ward, ward->data);
    if (before == POLICY_STARTING && state != POLICY_STARTING)
        ward->begun(ward, ward->data);
}

/* ---- what the supervisor asks ---- */

int ward_open(struct ward *ward, uv_loop_t *loop, const struct settings *settings, const char *name,
              char *const *args, void (*begun)(struct ward *ward, void *data),
              void (*stopped)(struct ward *ward, void *data), void *data)
{
    const struct policy_limits limits = {
        .backoff_min_ms = settings->backoff_min_ms,
        .backoff_max_ms = settings->backoff_max_ms,
        .jitter_percent = settings->backoff_jitter_percent,
        .healthy_ms = settings->healthy_ms,
        .forget_ms = settings->forget_ms,
    };
    *ward = (struct ward){.name = name,
                          .settings = settings,
                          .loop = loop,
                          .args = args,
                          .begun = begun,
                          .stopped = stopped,
                          .data = data,
                          .since_us = clock_realtime_us()};
    policy_init(&ward->policy, &limits, random_from_kernel, NULL);
    ward->due.data = ward;
    return uv_timer_init(loop, &ward->due);
}

void ward_start(struct ward *ward)
{
    if (ward->policy.starts == 0)
        apply(ward, POLICY_ON_DUE);
}

static int ask(struct ward *ward, enum policy_event event, struct err *err)
{
    if (ward->policy.state == POLICY_STOPPING || ward->policy.state == POLICY_STOPPED)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, ward->name,
                       "it is being stopped with storaged");
    log_info("asked by the operator", "worker", ward->name, "verb", policy_event_name(event));
    apply(ward, event);
    return 0;
}

int ward_restart(struct ward *ward, struct err *err)
{
    return ask(ward, POLICY_ON_RESTART, err);
}

int ward_reset(struct ward *ward, struct err *err)
{
    return ask(ward, POLICY_ON_RESET, err);
}

void ward_config_changed(struct ward *ward)
{
    apply(ward, POLICY_ON_CONFIG_CHANGED);
}

void ward_drain(struct ward *ward)
{
    ward->draining = true;
    if (ward->child)
        child_drain(ward->child);
}

void ward_stop(struct ward *ward, bool shutdown)
{
    ward->shutdown = shutdown;
    ward->told = ward->obeyed = false;
    apply(ward, POLICY_ON_STOP);
}

bool ward_is_stopped(const struct ward *ward)
{
    return ward->policy.state == POLICY_STOPPED;
}

void ward_close(struct ward *ward)
{
    uv_close((uv_handle_t *)&ward->due, NULL);
    if (ward->child)
        child_free(ward->child);
    for (size_t i = 0; i < ward->n_stuck; i++)
        child_free(ward->stuck[i]);
    ward->n_stuck = 0;
    ward->child = NULL;
}

/* ---- what is told of it ---- */

static Storage__V1__WorkerState state_on_wire(enum policy_state state)
{
    static const Storage__V1__WorkerState table[POLICY_STATES] = {
        [POLICY_BACKOFF] = STORAGE__V1__WORKER_STATE__WORKER_STATE_BACKOFF,
        [POLICY_FAILING] = STORAGE__V1__WORKER_STATE__WORKER_STATE_FAILING,
        [POLICY_CONFIG] = STORAGE__V1__WORKER_STATE__WORKER_STATE_CONFIG,
        [POLICY_STARTING] = STORAGE__V1__WORKER_STATE__WORKER_STATE_STARTING,
        [POLICY_READY] = STORAGE__V1__WORKER_STATE__WORKER_STATE_READY,
        [POLICY_HUNG] = STORAGE__V1__WORKER_STATE__WORKER_STATE_HUNG,
        [POLICY_RESTARTING] = STORAGE__V1__WORKER_STATE__WORKER_STATE_STOPPING,
        [POLICY_STOPPING] = STORAGE__V1__WORKER_STATE__WORKER_STATE_STOPPING,
        [POLICY_STOPPED] = STORAGE__V1__WORKER_STATE__WORKER_STATE_STOPPED,
    };
    return table[state];
}

/* Messages only borrow their texts; protobuf-c declares them without const. */
static char *borrow(const char *text)
{
    return (char *)(uintptr_t)text;
}

static void describe_stuck(const struct ward *ward, struct ward_room *room,
                           Storage__V1__Worker *worker)
{
    for (size_t i = 0; i < ward->n_stuck; i++) {
        Storage__V1__StuckProcess *row = &room->stuck_rows[i];
        storage__v1__stuck_process__init(row);
        row->pid = child_pid(ward->stuck[i]);
        row->where = borrow(child_where(ward->stuck[i]));
        room->stuck[i] = row;
    }
    worker->stuck = room->stuck;
    worker->n_stuck = ward->n_stuck;
}

static uint32_t next_start_ms(const struct ward *ward)
{
    enum policy_state state = ward->policy.state;
    uint64_t now = clock_monotonic_ms(), at = ward->policy.start_at_ms;
    bool waits = state == POLICY_BACKOFF || state == POLICY_FAILING;
    return waits && at > now ? (uint32_t)(at - now) : 0;
}

void ward_describe(const struct ward *ward, struct ward_room *room, Storage__V1__Worker *out_worker)
{
    Storage__V1__Worker *worker = out_worker;
    storage__v1__worker__init(worker);
    worker->name = borrow(ward->name);
    worker->state = state_on_wire(ward->policy.state);
    worker->restarts = ward->policy.starts > 0 ? ward->policy.starts - 1 : 0;
    worker->since_us = ward->since_us;
    worker->exit_reason = borrow(ward->reason);
    worker->next_start_ms = next_start_ms(ward);
    if (ward->child) {
        worker->pid = child_pid(ward->child);
        worker->epoch = child_epoch(ward->child);
        worker->status = borrow(child_status(ward->child));
    }
    for (size_t i = 0; i < ward->tail.n_kept; i++)
        room->log[i] = borrow(tail_line(&ward->tail, i));
    worker->last_log = room->log;
    worker->n_last_log = ward->tail.n_kept;
    describe_stuck(ward, room, worker);
}
