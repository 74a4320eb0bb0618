/*
 * One thread answers the kernel; the test's thread only moves `held` and what fails, under the
 * mutex. Reads that wait are kept in a list. After HOLD_MAX_MS none waits any more: a test that
 * failed must not leave the kernel with a disk that never answers.
 */
#include "slowfile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    HOLD_MAX_MS = 25000,
    HELD_MAX = 256,
    FILE_NODE = 2,
    READ_MAX = 1 << 17,
    BUFFER_BYTES = READ_MAX + 65536,
};

struct held_read {
    uint64_t unique, offset;
    uint32_t size;
};

struct slowfile {
    struct disk *disk;
    char backing_path[HARNESS_PATH_MAX];
    char folder[HARNESS_PATH_MAX];
    int fuse, backing, wake;
    uint64_t size;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards from here on */
    pthread_cond_t changed;
    bool held, stopping;
    uint64_t held_from, held_to;   /* reads in this range */
    unsigned failing, more_writes; /* what fails, when so many have gone well */
    uint64_t release_ms;           /* when reads are answered whatever the test says */
    struct held_read reads[HELD_MAX];
    size_t n_reads;
};

static void reply(const struct slowfile *file, uint64_t unique, int error, const void *data,
                  size_t size)
{
    struct fuse_out_header header = {
        .len = (uint32_t)(sizeof header + size), .error = -error, .unique = unique};
    struct iovec parts[] = {{&header, sizeof header}, {(void *)(uintptr_t)data, size}};
    ssize_t n = writev(file->fuse, parts, size > 0 ? 2 : 1);
    (void)n; /* an interrupted request is gone: ENOENT */
}

/* The mutex is held. */
static void answer_read(const struct slowfile *file, const struct held_read *read)
{
    static char data[READ_MAX];
    uint32_t size = read->size < READ_MAX ? read->size : READ_MAX;
    ssize_t n = pread(file->backing, data, size, (off_t)read->offset);
    bool fail = file->failing & SLOWFILE_READS && file->more_writes == 0;
    int error = fail ? EIO : n < 0 ? errno : 0;
    reply(file, read->unique, error, data, error != 0 ? 0 : (size_t)n);
}

static struct fuse_attr attributes(const struct slowfile *file, uint64_t node)
{
    bool root = node == FUSE_ROOT_ID;
    return (struct fuse_attr){
        .ino = node,
        .size = root ? 0 : file->size,
        .mode = root ? S_IFDIR | 0755 : S_IFREG | 0600,
        .nlink = 1,
        .blksize = 4096,
    };
}

static void on_init(struct slowfile *file, const struct fuse_in_header *in, const void *body)
{
    const struct fuse_init_in *asked = body;
    struct fuse_init_out out = {
        .major = FUSE_KERNEL_VERSION,
        .minor =
            asked->minor < FUSE_KERNEL_MINOR_VERSION ? asked->minor : FUSE_KERNEL_MINOR_VERSION,
        .max_write = 65536,
        .max_background = HELD_MAX / 2,
        .congestion_threshold = HELD_MAX / 2,
    };
    reply(file, in->unique, 0, &out, sizeof out);
}

static void on_lookup(struct slowfile *file, const struct fuse_in_header *in, const void *body)
{
    struct fuse_entry_out out = {
        .nodeid = FILE_NODE, .attr_valid = 60, .attr = attributes(file, FILE_NODE)};
    bool found = in->nodeid == FUSE_ROOT_ID && strcmp(body, "file") == 0;
    reply(file, in->unique, found ? 0 : ENOENT, &out, found ? sizeof out : 0);
}

static void on_getattr(struct slowfile *file, const struct fuse_in_header *in, const void *body)
{
    struct fuse_attr_out out = {.attr_valid = 60, .attr = attributes(file, in->nodeid)};
    (void)body;
    reply(file, in->unique, 0, &out, sizeof out);
}

static void on_open(struct slowfile *file, const struct fuse_in_header *in, const void *body)
{
    struct fuse_open_out out = {.open_flags = 0};
    (void)body;
    reply(file, in->unique, 0, &out, sizeof out);
}

static void on_read(struct slowfile *file, const struct fuse_in_header *in, const void *body)
{
    const struct fuse_read_in *asked = body;
    const struct held_read read = {in->unique, asked->offset, asked->size};
    (void)pthread_mutex_lock(&file->mutex);
    bool in_range = asked->offset >= file->held_from && asked->offset < file->held_to;
    bool hold = file->held && in_range && file->n_reads < HELD_MAX;
    if (hold)
        file->reads[file->n_reads++] = read;
    else
        answer_read(file, &read);
    (void)pthread_cond_signal(&file->changed);
    (void)pthread_mutex_unlock(&file->mutex);
}

static bool fails(struct slowfile *file, unsigned what)
{
    (void)pthread_mutex_lock(&file->mutex);
    bool fail = file->failing & what && file->more_writes == 0;
    if (file->more_writes > 0)
        file->more_writes--;
    (void)pthread_mutex_unlock(&file->mutex);
    return fail;
}

static void on_write(struct slowfile *file, const struct fuse_in_header *in, const void *body)
{
    const struct fuse_write_in *asked = body;
    ssize_t n = -1;
    if (!fails(file, SLOWFILE_WRITES))
        n = pwrite(file->backing, asked + 1, asked->size, (off_t)asked->offset);
    struct fuse_write_out out = {.size = n < 0 ? 0 : (uint32_t)n};
    reply(file, in->unique, n < 0 ? EIO : 0, &out, n < 0 ? 0 : sizeof out);
}

static void on_fsync(struct slowfile *file, const struct fuse_in_header *in, const void *body)
{
    (void)body;
    reply(file, in->unique, fails(file, SLOWFILE_FLUSHES) ? EIO : 0, NULL, 0);
}

static void on_close(struct slowfile *file, const struct fuse_in_header *in, const void *body)
{
    (void)body;
    reply(file, in->unique, 0, NULL, 0);
}

static void take_request(struct slowfile *file, const void *buffer)
{
    static const struct {
        uint32_t opcode;
        void (*answer)(struct slowfile *file, const struct fuse_in_header *in, const void *body);
    } calls[] = {
        {FUSE_INIT, on_init},   {FUSE_LOOKUP, on_lookup}, {FUSE_GETATTR, on_getattr},
        {FUSE_OPEN, on_open},   {FUSE_READ, on_read},     {FUSE_WRITE, on_write},
        {FUSE_FLUSH, on_close}, {FUSE_FSYNC, on_fsync},   {FUSE_RELEASE, on_close},
    };
    const struct fuse_in_header *in = buffer;
    for (size_t i = 0; i < array_length(calls); i++) {
        if (calls[i].opcode == in->opcode) {
            calls[i].answer(file, in, in + 1);
            return;
        }
    }
    if (in->opcode != FUSE_FORGET && in->opcode != FUSE_BATCH_FORGET &&
        in->opcode != FUSE_INTERRUPT)
        reply(file, in->unique, ENOSYS, NULL, 0);
}

/* Answers what waits, if it may; false when it is time to end. */
static bool answer_released(struct slowfile *file)
{
    (void)pthread_mutex_lock(&file->mutex);
    if (clock_monotonic_ms() >= file->release_ms)
        file->held = false;
    bool stopping = file->stopping;
    while (!file->held && file->n_reads > 0) {
        struct held_read read = file->reads[--file->n_reads];
        answer_read(file, &read);
    }
    (void)pthread_mutex_unlock(&file->mutex);
    return !stopping;
}

static void *serve(void *data)
{
    struct slowfile *file = data;
    char *buffer = malloc(BUFFER_BYTES);
    if (!buffer)
        return NULL;
    while (answer_released(file)) {
        struct pollfd fds[] = {{.fd = file->fuse, .events = POLLIN},
                               {.fd = file->wake, .events = POLLIN}};
        eventfd_t count;
        (void)poll(fds, array_length(fds), 1000);
        if (fds[1].revents)
            (void)eventfd_read(file->wake, &count);
        if (fds[0].revents & POLLIN && read(file->fuse, buffer, BUFFER_BYTES) > 0)
            take_request(file, buffer);
        else if (fds[0].revents & POLLERR)
            break; /* unmounted */
    }
    free(buffer);
    return NULL;
}

static void mount_it(struct slowfile *file)
{
    char options[128];
    (void)snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0",
                   file->fuse);
    assert_int_equal(mkdir(file->folder, 0755), 0);
    if (mount("slowfile", file->folder, "fuse", 0, options) < 0)
        harness_skip("FUSE cannot be mounted: %s", strerror(errno));
    assert_int_equal(pthread_create(&file->thread, NULL, serve, file), 0);
}

struct slowfile *slowfile_plug(struct disk *disk)
{
    int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fuse < 0)
        harness_skip("no FUSE: %s", strerror(errno));
    struct slowfile *file = calloc(1, sizeof *file);
    assert_non_null(file);
    file->disk = disk;
    file->fuse = fuse;
    file->size = file->held_to = disk->size_bytes;
    file->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    file->backing = open(disk->file, O_RDWR | O_CLOEXEC);
    assert_true(file->wake >= 0 && file->backing >= 0);
    (void)pthread_mutex_init(&file->mutex, NULL);
    (void)pthread_cond_init(&file->changed, NULL);
    (void)snprintf(file->backing_path, sizeof file->backing_path, "%s", disk->file);
    (void)snprintf(file->folder, sizeof file->folder, "%s/slow-%u", harness_dir(), disk->number);
    mount_it(file);
    (void)snprintf(disk->file, sizeof disk->file, "%s/file", file->folder);
    disk_plug(disk);
    return file;
}

void slowfile_hold(struct slowfile *file, bool held)
{
    (void)pthread_mutex_lock(&file->mutex);
    file->held = held;
    file->release_ms = clock_monotonic_ms() + HOLD_MAX_MS;
    (void)pthread_mutex_unlock(&file->mutex);
    (void)eventfd_write(file->wake, 1);
}

void slowfile_set_range(struct slowfile *file, uint64_t from, uint64_t to)
{
    (void)pthread_mutex_lock(&file->mutex);
    file->held_from = from;
    file->held_to = to;
    (void)pthread_mutex_unlock(&file->mutex);
}

void slowfile_wait_held(struct slowfile *file)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += HOLD_MAX_MS / 1000;
    int rc = 0;
    (void)pthread_mutex_lock(&file->mutex);
    while (file->n_reads == 0 && rc == 0)
        rc = pthread_cond_timedwait(&file->changed, &file->mutex, &until);
    (void)pthread_mutex_unlock(&file->mutex);
    if (rc != 0)
        fail_msg("nobody reads %s", file->disk->path);
}

void slowfile_fail(struct slowfile *file, unsigned what, unsigned more_writes)
{
    (void)pthread_mutex_lock(&file->mutex);
    file->failing = what;
    file->more_writes = more_writes;
    (void)pthread_mutex_unlock(&file->mutex);
}

void slowfile_unplug(struct slowfile *file)
{
    slowfile_hold(file, false);
    disk_unplug(file->disk);
    (void)snprintf(file->disk->file, sizeof file->disk->file, "%s", file->backing_path);
    (void)pthread_mutex_lock(&file->mutex);
    file->stopping = true;
    file->held = false;
    (void)pthread_mutex_unlock(&file->mutex);
    (void)eventfd_write(file->wake, 1);
    (void)pthread_join(file->thread, NULL);
    (void)close(file->fuse);
    (void)umount2(file->folder, MNT_DETACH);
    (void)close(file->backing);
    (void)close(file->wake);
    free(file);
}
