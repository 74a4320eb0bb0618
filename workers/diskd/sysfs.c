/*
 * Reading sysfs. Every attribute is a small file read in one go. Nothing is kept between calls, so
 * any thread may call; a device that vanishes midway is NOT_FOUND or has empty texts.
 */
#include "sysfs.h"

#include "base/cleanup.h"
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    SECTOR_BYTES = 512,
    ATTRIBUTE_MAX = 512,
    READ_TRIES = 4, /* until no medium changes in the middle of the reading */
};

int sysfs_read_text(char *out, size_t size, const char *fmt, ...)
{
    char path[SYSFS_PATH_MAX + 64], raw[ATTRIBUTE_MAX];
    va_list ap;
    *out = '\0';
    va_start(ap, fmt);
    int length = vsnprintf(path, sizeof path, fmt, ap);
    va_end(ap);
    if (length < 0 || (size_t)length >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, raw, sizeof raw);
    if (n < 0)
        return -1;
    text_clean(out, size, raw, (size_t)n);
    return 0;
}

static bool read_number(const char *sys, const char *name, const char *attribute,
                        uint64_t *out_number)
{
    char text[32], *end;
    if (sysfs_read_text(text, sizeof text, "%s/class/block/%s/%s", sys, name, attribute) < 0 ||
        !isdigit((unsigned char)*text))
        return false;
    *out_number = strtoull(text, &end, 10);
    return *end == '\0';
}

bool sysfs_is_disk_name(const char *name)
{
    static const char *const others[] = {"ram[0-9]*", "sr[0-9]*", "fd[0-9]*", "dm-*", "md[0-9_]*"};
    for (size_t i = 0; i < array_length(others); i++)
        if (fnmatch(others[i], name, 0) == 0)
            return false;
    return strlen(name) < SYSFS_NAME_MAX && name[0] != '.' && !strchr(name, '/');
}

void sysfs_node_path(const char *name, char out_path[SYSFS_NODE_MAX])
{
    (void)snprintf(out_path, SYSFS_NODE_MAX, "/dev/%s", name);
    for (char *slash; (slash = strchr(out_path, '!'));)
        *slash = '/';
}

static bool is_whole_disk(const char *sys, const char *name)
{
    uint64_t number;
    if (read_number(sys, name, "partition", &number))
        return false;
    return !read_number(sys, name, "hidden", &number) || number == 0;
}

static int read_once(const char *sys, const char *name, struct sysfs_device *device)
{
    char devnum[32];
    uint64_t sectors = 0, read_only = 0;
    if (sysfs_read_text(devnum, sizeof devnum, "%s/class/block/%s/dev", sys, name) < 0 ||
        sscanf(devnum, "%" SCNu32 ":%" SCNu32, &device->major, &device->minor) != 2 ||
        !read_number(sys, name, "size", &sectors))
        return -ERR_NOT_FOUND;
    (void)read_number(sys, name, "ro", &read_only);
    device->size_bytes = sectors * SECTOR_BYTES;
    device->read_only = read_only != 0;
    return 0;
}

int sysfs_read_device(const char *sys, const char *name, struct sysfs_device *out_device)
{
    struct sysfs_device device = {0};
    if (!sysfs_is_disk_name(name) || !is_whole_disk(sys, name))
        return -ERR_NOT_FOUND;
    (void)snprintf(device.name, sizeof device.name, "%s", name);
    sysfs_node_path(name, device.path);
    for (int i = 0; i < READ_TRIES; i++) {
        uint64_t before = 0, after = 0;
        (void)read_number(sys, name, "diskseq", &before);
        if (read_once(sys, name, &device) < 0)
            return -ERR_NOT_FOUND;
        (void)read_number(sys, name, "diskseq", &after);
        device.diskseq = after;
        if (before == after)
            break;
    }
    *out_device = device;
    return 0;
}

/* The first of several places that has something to say. */
static void read_first(char *out, size_t size, const char *sys, const char *name,
                       const char *const *attributes)
{
    for (*out = '\0'; *attributes && !*out; attributes++)
        (void)sysfs_read_text(out, size, "%s/class/block/%s/%s", sys, name, *attributes);
}

static void read_transport(const char *sys, const char *name, char *out, size_t size)
{
    char path[SYSFS_PATH_MAX + 64], target[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/class/block/%s/device/subsystem", sys, name);
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n > 0) {
        target[n] = '\0';
        const char *base = strrchr(target, '/');
        base = base ? base + 1 : target;
        text_clean(out, size, base, strncmp(base, "nvme", 4) == 0 ? 4 : strlen(base));
        return;
    }
    /* Without hardware behind it, the driver is the name without its number. */
    text_clean(out, size, name, strcspn(name, "0123456789"));
}

void sysfs_read_identity(const char *sys, const char *name, struct sysfs_identity *out_identity)
{
    static const char *const models[] = {"device/model", NULL};
    static const char *const serials[] = {"serial", "device/serial", NULL};
    static const char *const wwids[] = {"wwid", "device/wwid", NULL};
    struct sysfs_identity identity = {.rotational = -1};
    uint64_t rotational;
    read_first(identity.model, sizeof identity.model, sys, name, models);
    read_first(identity.serial, sizeof identity.serial, sys, name, serials);
    read_first(identity.wwid, sizeof identity.wwid, sys, name, wwids);
    read_transport(sys, name, identity.transport, sizeof identity.transport);
    if (read_number(sys, name, "queue/rotational", &rotational))
        identity.rotational = rotational != 0;
    *out_identity = identity;
}

int sysfs_read_counters(const char *sys, const char *name, struct sysfs_counters *out_counters,
                        struct err *err)
{
    struct sysfs_counters c = {0};
    uint64_t merged, read_sectors = 0, written_sectors = 0, discarded_sectors = 0, queue_ms;
    uint64_t discard_ms, flush_ms;
    char text[ATTRIBUTE_MAX];
    if (sysfs_read_text(text, sizeof text, "%s/class/block/%s/stat", sys, name) < 0)
        return err_errno(err, errno, name, "cannot read its counters");
    int n = sscanf(text,
                   "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                   " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                   " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
                   &c.reads, &merged, &read_sectors, &c.read_ms, &c.writes, &merged,
                   &written_sectors, &c.write_ms, &c.in_flight, &c.busy_ms, &queue_ms, &c.discards,
                   &merged, &discarded_sectors, &discard_ms, &c.flushes, &flush_ms);
    if (n < 11) /* later columns came with later kernels */
        return err_set(err, ERR_INTERNAL, 0, name, "its counters have an unknown form");
    c.read_bytes = read_sectors * SECTOR_BYTES;
    c.written_bytes = written_sectors * SECTOR_BYTES;
    c.discarded_bytes = discarded_sectors * SECTOR_BYTES;
    *out_counters = c;
    return 0;
}

int sysfs_each_disk(const char *sys, void (*each)(const char *name, void *data), void *data,
                    struct err *err)
{
    char path[SYSFS_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/class/block", sys);
    autodir DIR *dir = opendir(path);
    if (!dir)
        return err_errno(err, errno, path, "cannot list the block devices");
    for (struct dirent *entry; (entry = readdir(dir));)
        if (sysfs_is_disk_name(entry->d_name))
            each(entry->d_name, data);
    return 0;
}

/* Appends `text` with one '_' for each run of what an id should not hold. */
static void append_safe(char *out, size_t size, const char *text)
{
    size_t used = strlen(out);
    for (; *text && used + 1 < size; text++) {
        bool safe = isalnum((unsigned char)*text) || strchr("._:-", *text);
        if (safe)
            out[used++] = *text;
        else if (used > 0 && out[used - 1] != '_')
            out[used++] = '_';
        out[used] = '\0';
    }
}

void sysfs_make_id(const struct sysfs_identity *identity, const char *name, char *out_id,
                   size_t size)
{
    const char *texts[] = {name, NULL};
    const char *prefix = "";
    if (*identity->wwid) {
        prefix = "wwn-";
        texts[0] = identity->wwid;
    } else if (*identity->serial) {
        prefix = "serial-";
        texts[0] = *identity->model ? identity->model : identity->serial;
        texts[1] = *identity->model ? identity->serial : NULL;
    }
    (void)snprintf(out_id, size, "%s", prefix);
    append_safe(out_id, size, texts[0]);
    if (texts[1]) {
        append_safe(out_id, size, "_");
        append_safe(out_id, size, texts[1]);
    }
}
