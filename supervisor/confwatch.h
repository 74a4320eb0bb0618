/* Tells when the config file has changed, by inotify on its directory: editors replace the file. */
#ifndef SUPERVISOR_CONFWATCH_H
#define SUPERVISOR_CONFWATCH_H

#include <uv.h>

struct confwatch {
    uv_fs_event_t event;
    const char *name; /* of the file within the directory */
    void (*changed)(void *data);
    void *data;
};

/*
 * `path` is borrowed. Without the directory there is nothing to watch: that is logged, and only
 * SIGHUP is left to tell.
 */
void confwatch_open(struct confwatch *watch, uv_loop_t *loop, const char *path,
                    void (*changed)(void *data), void *data);
void confwatch_close(struct confwatch *watch);

#endif
