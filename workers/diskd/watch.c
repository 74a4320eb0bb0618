/*
 * Owns the netlink sockets (libudev's monitors), the inotify descriptor and the two tables of
 * /proc, each a poll handle in one list of sources.
 *
 * The sockets are open before the caller enumerates, so that nothing falls between. Their buffers
 * overflow when the loop is busy for long: the kernel then says ENOBUFS, and `lost` is called.
 * Removal is taken from the kernel alone: udev's report may come when the next device of that name
 * is there already.
 */
#include "watch.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <libudev.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

enum {
    BUFFER_BYTES = 8 * 1024 * 1024, /* as far as rmem_max lets */
    INOTIFY_BYTES = 4096,
};

enum source_kind {
    SOURCE_KERNEL,
    SOURCE_UDEV,
    SOURCE_MOUNTS,
    SOURCE_SWAPS,
    SOURCE_INOTIFY,
    SOURCES
};

struct source {
    uv_poll_t poll;
    struct watch *watch;
    struct udev_monitor *monitor;
    int fd; /* -1: not open */
};

struct attribute {
    int wd;
    char name[SYSFS_NAME_MAX];
};

struct watch {
    struct udev *udev;
    struct source sources[SOURCES];
    struct attribute *attributes;
    size_t n_attributes, capacity;
    unsigned open_handles;
    char sys[SYSFS_PATH_MAX];
    struct watch_callbacks callbacks;
};

/* ---- uevents ---- */

/* The last component of `path`, cut off; NULL when there is none. */
static const char *cut_base(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash)
        return NULL;
    *slash = '\0';
    return slash + 1;
}

static void take_uevent(struct watch *watch, struct udev_device *device, bool from_kernel)
{
    const struct watch_callbacks *to = &watch->callbacks;
    const char *devpath = udev_device_get_devpath(device);
    const char *action = udev_device_get_action(device);
    const char *type = udev_device_get_devtype(device);
    const char *diskseq = udev_device_get_property_value(device, "DISKSEQ");
    char path[PATH_MAX];
    if (!devpath || !action || strlen(devpath) >= sizeof path)
        return;
    (void)snprintf(path, sizeof path, "%s", devpath);
    const char *name = cut_base(path);
    bool partition = type && strcmp(type, "partition") == 0;
    if (partition)
        name = cut_base(path); /* what happens to it may change the disk's state */
    if (!name || strlen(name) >= SYSFS_NAME_MAX)
        return;
    if (partition || strcmp(action, "remove") != 0)
        to->changed(name, to->data);
    else if (from_kernel)
        to->removed(name, diskseq ? strtoull(diskseq, NULL, 10) : 0, to->data);
}

static void on_uevents(struct source *source)
{
    struct watch *watch = source->watch;
    bool from_kernel = source == &watch->sources[SOURCE_KERNEL];
    struct udev_device *device;
    while (errno = 0, (device = udev_monitor_receive_device(source->monitor))) {
        take_uevent(watch, device, from_kernel);
        udev_device_unref(device);
    }
    if (errno == ENOBUFS) {
        log_warning("uevents were lost, looking at every disk");
        watch->callbacks.lost(watch->callbacks.data);
    }
}

/* ---- attributes ---- */

static void on_attributes(struct source *source)
{
    struct watch *watch = source->watch;
    _Alignas(struct inotify_event) char buffer[INOTIFY_BYTES];
    ssize_t n;
    while ((n = read(source->fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *event = (const void *)(buffer + at);
            at += (ssize_t)(sizeof *event + event->len);
            if (event->mask & IN_Q_OVERFLOW)
                watch->callbacks.lost(watch->callbacks.data);
            for (size_t i = 0; (event->mask & IN_MODIFY) && i < watch->n_attributes; i++) {
                if (watch->attributes[i].wd != event->wd)
                    continue;
                char name[SYSFS_NAME_MAX]; /* the callback may change the list */
                (void)snprintf(name, sizeof name, "%s", watch->attributes[i].name);
                watch->callbacks.changed(name, watch->callbacks.data);
                break;
            }
        }
    }
}

static void add_attribute(struct watch *watch, int wd, const char *name)
{
    for (size_t i = 0; i < watch->n_attributes; i++) {
        if (watch->attributes[i].wd == wd) {
            (void)snprintf(watch->attributes[i].name, SYSFS_NAME_MAX, "%s", name);
            return;
        }
    }
    if (watch->n_attributes == watch->capacity) {
        size_t capacity = watch->capacity ? 2 * watch->capacity : 64;
        struct attribute *more = reallocarray(watch->attributes, capacity, sizeof *more);
        if (!more)
            return; /* it is only not heard of */
        watch->attributes = more;
        watch->capacity = capacity;
    }
    struct attribute *attribute = &watch->attributes[watch->n_attributes++];
    attribute->wd = wd;
    (void)snprintf(attribute->name, SYSFS_NAME_MAX, "%s", name);
}

void watch_attributes(struct watch *watch, const char *name)
{
    static const char *const written[] = {"disksize", "reset", "force_ro", "queue/rotational"};
    int fd = watch->sources[SOURCE_INOTIFY].fd;
    for (size_t i = 0; fd >= 0 && i < array_length(written); i++) {
        char path[SYSFS_PATH_MAX + SYSFS_NAME_MAX + 48];
        (void)snprintf(path, sizeof path, "%s/class/block/%s/%s", watch->sys, name, written[i]);
        int wd = inotify_add_watch(fd, path, IN_MODIFY);
        if (wd >= 0)
            add_attribute(watch, wd, name);
        else if (errno != ENOENT)
            log_debug("an attribute cannot be watched", "path", path, "reason", strerror(errno));
    }
}

void watch_forget(struct watch *watch, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < watch->n_attributes; i++) {
        if (strcmp(watch->attributes[i].name, name) == 0)
            (void)inotify_rm_watch(watch->sources[SOURCE_INOTIFY].fd, watch->attributes[i].wd);
        else
            watch->attributes[kept++] = watch->attributes[i];
    }
    watch->n_attributes = kept;
}

/* ---- sources ---- */

static void on_tables(struct source *source)
{
    source->watch->callbacks.usage(source->watch->callbacks.data);
}

static const struct {
    int events;
    void (*take)(struct source *source);
} kinds[SOURCES] = {
    [SOURCE_KERNEL] = {UV_READABLE, on_uevents},   [SOURCE_UDEV] = {UV_READABLE, on_uevents},
    [SOURCE_MOUNTS] = {UV_PRIORITIZED, on_tables}, /* proc_pid_mountinfo(5) */
    [SOURCE_SWAPS] = {UV_PRIORITIZED, on_tables},  [SOURCE_INOTIFY] = {UV_READABLE, on_attributes},
};

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct source *source = poll->data;
    (void)events;
    if (status < 0) {
        log_warning("a source of disk events broke", "reason", uv_strerror(status));
        (void)uv_poll_stop(poll);
        return;
    }
    kinds[source - source->watch->sources].take(source);
}

static int start_source(struct watch *watch, uv_loop_t *loop, enum source_kind kind, int fd,
                        struct err *err)
{
    struct source *source = &watch->sources[kind];
    source->fd = fd;
    int rc = uv_poll_init(loop, &source->poll, fd);
    if (rc < 0) {
        /* The handle was not made: its fd is closed here. */
        if (!source->monitor)
            (void)close(fd);
        source->fd = -1;
        return err_errno(err, -rc, "disks", "cannot wait for events");
    }
    source->poll.data = source;
    watch->open_handles++;
    rc = uv_poll_start(&source->poll, kinds[kind].events, on_ready);
    return rc < 0 ? err_errno(err, -rc, "disks", "cannot wait for events") : 0;
}

static int open_monitor(struct watch *watch, uv_loop_t *loop, enum source_kind kind,
                        const char *stream, struct err *err)
{
    struct udev_monitor *monitor = udev_monitor_new_from_netlink(watch->udev, stream);
    if (!monitor)
        return err_errno(err, errno ? errno : EIO, stream, "cannot hear of its uevents");
    watch->sources[kind].monitor = monitor;
    /* Forced where we may, else as large as rmem_max: a smaller one only overflows earlier. */
    (void)udev_monitor_set_receive_buffer_size(monitor, BUFFER_BYTES);
    int rc = udev_monitor_filter_add_match_subsystem_devtype(monitor, "block", NULL);
    if (rc >= 0)
        rc = udev_monitor_enable_receiving(monitor);
    if (rc < 0)
        return err_errno(err, -rc, stream, "cannot hear of its uevents");
    return start_source(watch, loop, kind, udev_monitor_get_fd(monitor), err);
}

static int open_table(struct watch *watch, uv_loop_t *loop, enum source_kind kind, const char *proc,
                      const char *table, struct err *err)
{
    char path[SYSFS_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", proc, table);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, path, "cannot be opened");
    return start_source(watch, loop, kind, fd, err);
}

static int open_sources(struct watch *watch, uv_loop_t *loop, const char *proc, struct err *err)
{
    int rc = open_monitor(watch, loop, SOURCE_KERNEL, "kernel", err);
    bool udevd = access("/run/udev/control", F_OK) == 0;
    if (rc == 0 && udevd)
        rc = open_monitor(watch, loop, SOURCE_UDEV, "udev", err);
    if (rc == 0)
        rc = open_table(watch, loop, SOURCE_MOUNTS, proc, "self/mountinfo", err);
    if (rc == 0)
        rc = open_table(watch, loop, SOURCE_SWAPS, proc, "swaps", err);
    if (rc < 0)
        return rc;
    log_info("listening for disks", "udevd", udevd ? "yes" : "no");
    /* Few are given to all processes of a user together: any of them may have taken the last. */
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd >= 0)
        return start_source(watch, loop, SOURCE_INOTIFY, fd, err);
    log_warning("the attributes of disks are not watched: a zram's size and a new rotational flag "
                "are seen with the next uevent only",
                "reason", strerror(errno));
    return 0;
}

int watch_open(uv_loop_t *loop, const char *sys, const char *proc,
               const struct watch_callbacks *callbacks, struct watch **out_watch, struct err *err)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return err_errno(err, ENOMEM, "disks", "cannot hear of events");
    watch->callbacks = *callbacks;
    (void)snprintf(watch->sys, sizeof watch->sys, "%s", sys);
    for (size_t i = 0; i < SOURCES; i++) {
        watch->sources[i].watch = watch;
        watch->sources[i].fd = -1;
    }
    watch->open_handles = 1; /* ours, until watch_close() */
    watch->udev = udev_new();
    int rc = watch->udev ? open_sources(watch, loop, proc, err)
                         : err_errno(err, ENOMEM, "udev", "cannot hear of events");
    if (rc < 0) {
        watch_close(watch);
        return rc;
    }
    *out_watch = watch;
    return 0;
}

static void release(struct watch *watch)
{
    if (--watch->open_handles > 0)
        return;
    udev_unref(watch->udev);
    free(watch->attributes);
    free(watch);
}

static void on_closed(uv_handle_t *handle)
{
    struct source *source = handle->data;
    if (source->monitor)
        udev_monitor_unref(source->monitor);
    else
        (void)close(source->fd);
    release(source->watch);
}

void watch_close(struct watch *watch)
{
    if (!watch)
        return;
    for (size_t i = 0; i < SOURCES; i++) {
        struct source *source = &watch->sources[i];
        if (source->fd >= 0)
            uv_close((uv_handle_t *)&source->poll, on_closed);
        else if (source->monitor)
            udev_monitor_unref(source->monitor);
    }
    release(watch);
}
