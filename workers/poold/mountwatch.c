/* The watch on mounts. The file is never read: poll(2) on it tells each change once. */
#include "mountwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void on_rested(uv_timer_t *timer)
{
    struct mountwatch *watch = timer->data;
    watch->changed(watch->data);
}

static void on_change(uv_poll_t *poll, int status, int events)
{
    struct mountwatch *watch = poll->data;
    (void)events;
    if (status < 0)
        (void)uv_poll_stop(poll); /* the half-minute's look is left */
    else if (!uv_is_active((uv_handle_t *)&watch->rest))
        (void)uv_timer_start(&watch->rest, on_rested, MOUNTWATCH_REST_MS, 0);
}

static void on_closed(uv_handle_t *handle)
{
    const struct mountwatch *watch = handle->data;
    (void)close(watch->fd);
}

int mountwatch_open(struct mountwatch *watch, uv_loop_t *loop, void (*changed)(void *data),
                    void *data, struct err *err)
{
    static const char path[] = "/proc/self/mountinfo";
    *watch = (struct mountwatch){.changed = changed, .data = data};
    watch->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (watch->fd < 0)
        return err_errno(err, errno, path, "cannot watch mounts");
    int rc = uv_poll_init(loop, &watch->poll, watch->fd);
    if (rc < 0) {
        (void)close(watch->fd);
        return err_errno(err, -rc, path, "cannot watch mounts");
    }
    (void)uv_timer_init(loop, &watch->rest);
    watch->poll.data = watch->rest.data = watch;
    (void)uv_poll_start(&watch->poll, UV_PRIORITIZED, on_change);
    return 0;
}

void mountwatch_close(struct mountwatch *watch)
{
    uv_close((uv_handle_t *)&watch->rest, NULL);
    uv_close((uv_handle_t *)&watch->poll, on_closed);
}
