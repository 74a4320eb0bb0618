/* An instance from outside: its life, what it is, and commands for its 0-db. */
#include "instance_private.h"

#include "base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define STATE(name) STORAGE__V1__ZDBSTATE__ZDB_STATE_##name

static struct instance_times times = {
    .stop_ms = INSTANCE_STOP_MS,
    .canary_ms = INSTANCE_CANARY_MS,
    .backoff_min_ms = INSTANCE_BACKOFF_MIN_MS,
    .backoff_max_ms = INSTANCE_BACKOFF_MAX_MS,
    .forget_ms = INSTANCE_FORGET_MS,
    .launch_ms = INSTANCE_LAUNCH_MS,
};

struct instance_times *instance_times(void)
{
    return &times;
}

void instance_set_patience(const struct settings *settings)
{
    times.backoff_min_ms = settings->backoff_min_ms;
    times.backoff_max_ms = settings->backoff_max_ms;
    times.forget_ms = settings->forget_ms;
}

void instance_tell(struct instance *instance, const char *topic, const char *reason)
{
    if (!instance->closing)
        instance->callbacks.told(instance, topic, reason, instance->callbacks.data);
}

/* --- life ------------------------------------------------------------------------------------ */

static void instance_free(struct instance *instance)
{
    free(instance->socket);
    free(instance);
}

int instance_new(uv_loop_t *loop, const struct settings *settings, const char *pool,
                 const struct instance_callbacks *callbacks, struct instance **out_instance,
                 struct err *err)
{
    struct instance *instance = calloc(1, sizeof *instance);
    if (!instance || asprintf(&instance->socket, "%s/zdb/%s/socket", settings->run_dir, pool) < 0) {
        free(instance);
        return err_errno(err, ENOMEM, pool, "cannot keep its 0-db");
    }
    instance->loop = loop;
    instance->settings = settings;
    instance->callbacks = *callbacks;
    instance->state = STATE(IDLE);
    (void)snprintf(instance->pool, sizeof instance->pool, "%s", pool);
    (void)uv_timer_init(loop, &instance->timer);
    instance->timer.data = instance;
    health_init(instance);
    *out_instance = instance;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct instance *instance = handle->data;
    if (--instance->n_handles == 0)
        instance_free(instance);
}

void instance_close(struct instance *instance)
{
    assert(!instance->closing);
    instance->closing = true;
    if (instance->link)
        link_close(take_ptr(instance->link));
    if (instance->process)
        process_close(take_ptr(instance->process));
    instance->n_handles = 2;
    uv_close((uv_handle_t *)&instance->timer, on_closed);
    uv_close((uv_handle_t *)&instance->health.timer, on_closed);
}

/* --- what it is ------------------------------------------------------------------------------ */

const char *instance_pool(const struct instance *instance)
{
    return instance->pool;
}

Storage__V1__ZDBState instance_state(const struct instance *instance)
{
    return instance->state;
}

const char *instance_state_text(Storage__V1__ZDBState state)
{
    static const char *const texts[] = {
        [STATE(IDLE)] = "not running", [STATE(STARTING)] = "starting", [STATE(UP)] = "up",
        [STATE(WAITING)] = "down",     [STATE(STOPPING)] = "ending",
    };
    return texts[state];
}

bool instance_is_up(const struct instance *instance)
{
    return instance->state == STATE(UP);
}

bool instance_is_wanted(const struct instance *instance)
{
    return instance->wanted;
}

bool instance_is_stopping(const struct instance *instance)
{
    return instance->state == STATE(STOPPING) && !instance->killed;
}

uint16_t instance_port(const struct instance *instance)
{
    return instance->record.port;
}

const char *instance_reason(const struct instance *instance)
{
    return instance->reason;
}

static uint32_t retry_in_ms(const struct instance *instance)
{
    return instance->state == STATE(WAITING) ? (uint32_t)uv_timer_get_due_in(&instance->timer) : 0;
}

/* The one on the disk now is another file, or has been written to. One that cannot be seen is no
 * other one. */
static bool is_binary_changed(const struct instance *instance)
{
    const struct zdb_record *record = &instance->record;
    struct stat status;
    autofree char *path = process_binary(instance->settings);
    if (!path || stat(path, &status) < 0)
        return false;
    int64_t mtime_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    return status.st_dev != record->binary_dev || status.st_ino != record->binary_ino ||
           mtime_ns != record->binary_mtime_ns;
}

void instance_describe(const struct instance *instance, Storage__V1__ZDBInstance *out)
{
    *out = (Storage__V1__ZDBInstance)STORAGE__V1__ZDBINSTANCE__INIT;
    out->pool = (char *)(uintptr_t)instance->pool;
    out->state = instance->state;
    out->reason = (char *)(uintptr_t)instance->reason;
    out->port = instance->record.port;
    out->restarts = instance->starts > 0 ? instance->starts - 1 : 0;
    out->retry_in_ms = retry_in_ms(instance);
    out->socket = instance->socket;
    if (!instance->process)
        return;
    out->pid = (uint32_t)process_pid(instance->process);
    if (out->pid != (uint32_t)instance->record.pid)
        return; /* a launcher still */
    out->uid = instance->record.uid;
    out->started_us = instance->record.started_us;
    out->adopted = instance->adopted;
    out->binary_changed = is_binary_changed(instance);
    out->missing = (char **)(uintptr_t)instance->missing_words;
    out->n_missing = instance->n_missing;
}

/* --- commands -------------------------------------------------------------------------------- */

int instance_check_up(const struct instance *instance, struct err *err)
{
    if (instance->state == STATE(UP))
        return 0;
    int rc = err_set(err, ERR_UNAVAILABLE, 0, instance->pool, "the 0-db of pool %s is %s%s%s",
                     instance->pool, instance_state_text(instance->state),
                     *instance->reason ? ": " : "", instance->reason);
    err_retryable(err, retry_in_ms(instance));
    return rc;
}

int instance_send(struct instance *instance, int n_arguments, const char *const *arguments,
                  const size_t *lengths, link_done done, void *data, struct err *err)
{
    int rc = instance_check_up(instance, err);
    return rc < 0 ? rc
                  : link_send(instance->link, n_arguments, arguments, lengths, done, data, err);
}
