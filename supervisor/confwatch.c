/*
 * The watch on the config file, see the header. It may call for a file that is still being written;
 * the end of the writing calls again.
 */
#include "confwatch.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <libgen.h>
#include <string.h>

static void on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
    struct confwatch *watch = event->data;
    (void)events;
    if (status == 0 && name && strcmp(name, watch->name) == 0)
        watch->changed(watch->data);
}

void confwatch_open(struct confwatch *watch, uv_loop_t *loop, const char *path,
                    void (*changed)(void *data), void *data)
{
    const char *slash = strrchr(path, '/');
    autofree char *copy = strdup(path);
    watch->name = slash ? slash + 1 : path;
    watch->changed = changed;
    watch->data = data;
    watch->event.data = watch;
    int rc = uv_fs_event_init(loop, &watch->event);
    if (rc == 0)
        rc = copy ? uv_fs_event_start(&watch->event, on_event, dirname(copy), 0) : UV_ENOMEM;
    if (rc < 0)
        log_info("the config is not watched: SIGHUP tells that it has changed", "path", path,
                 "reason", uv_strerror(rc));
}

void confwatch_close(struct confwatch *watch)
{
    uv_close((uv_handle_t *)&watch->event, NULL);
}
