/*
 * Holders, see the header. One walk over /proc: each process is opened once and asked for its
 * directories, descriptors and mappings, and for its mounts (holders_mounts.c). What is found is
 * matched by device number against a sorted list of all targets' devices, so that the cost does not
 * grow with the number of targets. statx() is told not to ask network filesystems.
 */
#include "holders_private.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "mounts.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { WORDS_MAX = 512 };

/* ---- what was found ------------------------------------------------------------------------- */

void holders_add(struct holders *holders, const char *fmt, ...)
{
    va_list ap;
    char words[WORDS_MAX];
    holders->count++;
    if (holders->n_listed == HOLDERS_LISTED_MAX)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    /* Process names and paths are anyone's to choose. */
    for (char *at = words; *at; at++)
        if (iscntrl((unsigned char)*at))
            *at = '?';
    char *copy = strdup(words);
    if (copy)
        holders->listed[holders->n_listed++] = copy;
}

int holders_refuse(const struct holders *holders, const char *object, struct err *err)
{
    if (holders->count == 0)
        return 0;
    (void)err_set(err, ERR_FAILED_PRECONDITION, EBUSY, object, "it is held by %zu user%s",
                  holders->count, holders->count == 1 ? "" : "s");
    err_hint(err, "end or unmount what holds it, then try again");
    for (size_t i = 0; i < holders->n_listed; i++)
        err_blocker(err, "%s", holders->listed[i]);
    if (holders->count > holders->n_listed)
        err_blocker(err, "and %zu more", holders->count - holders->n_listed);
    return -ERR_FAILED_PRECONDITION;
}

void holders_clear(struct holders *holders)
{
    for (size_t i = 0; i < holders->n_listed; i++)
        free(holders->listed[i]);
    *holders = (struct holders){0};
}

static int compare_devices(const void *a, const void *b)
{
    const struct holders_device *left = a, *right = b;
    return left->device < right->device ? -1 : left->device > right->device;
}

dev_t holders_device_of(const struct statx *status)
{
    return makedev(status->stx_dev_major, status->stx_dev_minor);
}

struct holders_target *holders_match(const struct holders_walk *walk, const struct statx *status)
{
    struct holders_device key = {.device = holders_device_of(status)};
    if (walk->mount_id)
        return status->stx_mnt_id == (uint64_t)walk->mount_id ? walk->targets : NULL;
    const struct holders_device *found =
        bsearch(&key, walk->devices, walk->n_devices, sizeof key, compare_devices);
    return found ? &walk->targets[found->target] : NULL;
}

/* Counts one thing inside a target; report_tally() turns the counts into words. */
static bool tally(struct holders_walk *walk, const struct statx *status)
{
    const struct holders_target *target = holders_match(walk, status);
    if (target)
        walk->counts[target - walk->targets]++;
    return target != NULL;
}

static void report_tally(struct holders_walk *walk, const struct holders_process *process,
                         const char *one, const char *many)
{
    for (size_t i = 0; i < walk->n_targets; i++) {
        if (walk->counts[i] == 1)
            holders_add(&walk->targets[i].found, "pid %s (%s): %s", process->pid, process->comm,
                        one);
        else if (walk->counts[i] > 1)
            holders_add(&walk->targets[i].found, "pid %s (%s): %u %s", process->pid, process->comm,
                        walk->counts[i], many);
        walk->counts[i] = 0;
    }
}

/* ---- one process ---------------------------------------------------------------------------- */

int holders_check_want(const struct holders_walk *walk, int os_errno, const char *object)
{
    return err_is_want(os_errno) ? err_errno(walk->err, os_errno, object, "cannot look for holders")
                                 : 0;
}

/*
 * A process that ends is no holder. One that not even we may look into (a security module, a user
 * namespace above ours) is passed over, or it would keep every space from ever being released: what
 * it has open stays readable for it until it closes it. Its mounts are looked at all the same.
 */
int holders_pass_over(const struct holders_walk *walk, const struct holders_process *process,
                      int os_errno, const char *what)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    if ((os_errno == EACCES || os_errno == EPERM) && !atomic_flag_test_and_set(&told))
        log_warning("a process cannot be looked into for holders, nor may others", "pid",
                    process->pid, "what", what);
    return holders_check_want(walk, os_errno, process->pid);
}

int holders_look(int dir, const char *name, struct statx *out_status)
{
    return statx(dir, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO | STATX_MNT_ID,
                 out_status) < 0
               ? -errno
               : 0;
}

static int check_links(struct holders_walk *walk, const struct holders_process *process)
{
    static const struct {
        const char *name, *words;
    } links[] = {
        {"cwd", "working directory"}, {"root", "root directory"}, {"exe", "running program"}};
    for (size_t i = 0; i < array_length(links); i++) {
        struct statx status;
        int rc = holders_look(process->dir, links[i].name, &status);
        if (rc < 0)
            rc = holders_pass_over(walk, process, -rc, links[i].name);
        else if (tally(walk, &status))
            report_tally(walk, process, links[i].words, links[i].words);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int check_files(struct holders_walk *walk, const struct holders_process *process)
{
    bool any = false;
    int rc = 0, fd = openat(process->dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return holders_pass_over(walk, process, errno, "fd");
    autodir DIR *dir = fdopendir(fd);
    if (!dir) {
        (void)close(fd);
        return err_errno(walk->err, errno, process->pid, "cannot read its descriptors");
    }
    for (struct dirent *entry; rc == 0 && (errno = 0, entry = readdir(dir));) {
        struct statx status;
        if (!isdigit((unsigned char)*entry->d_name))
            continue;
        rc = holders_look(fd, entry->d_name, &status);
        if (rc == 0)
            any |= tally(walk, &status);
        else /* closed meanwhile */
            rc = holders_check_want(walk, -rc, process->pid);
    }
    if (rc == 0)
        rc = holders_check_want(walk, errno, process->pid);
    if (any)
        report_tally(walk, process, "an open file", "open files");
    return rc;
}

/*
 * maps names the superblock's device, which is the same for all subvolumes: enough to pass over
 * all that lies elsewhere. The range at the line's start is the mapping's name in map_files.
 */
static int check_mapping(struct holders_walk *walk, const struct holders_process *process,
                         const char *line, bool *any)
{
    char range[64], path[96];
    unsigned device_major, device_minor;
    struct statx status;
    if (sscanf(line, "%63s %*s %*s %x:%x", range, &device_major, &device_minor) != 3 ||
        makedev(device_major, device_minor) != walk->fs_device)
        return 0;
    (void)snprintf(path, sizeof path, "map_files/%s", range);
    int rc = holders_look(process->dir, path, &status);
    if (rc < 0) /* unmapped meanwhile */
        return holders_check_want(walk, -rc, process->pid);
    *any |= tally(walk, &status);
    return 0;
}

static int check_mappings(struct holders_walk *walk, const struct holders_process *process)
{
    bool any = false;
    size_t size = 0;
    autofree char *line = NULL;
    int rc = 0, fd = openat(process->dir, "maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return holders_pass_over(walk, process, errno, "maps");
    FILE *maps = fdopen(fd, "re");
    if (!maps) {
        (void)close(fd);
        return err_errno(walk->err, errno, process->pid, "cannot read its mappings");
    }
    while (rc == 0 && (errno = 0, getline(&line, &size, maps)) > 0)
        rc = check_mapping(walk, process, line, &any);
    if (rc == 0)
        rc = holders_check_want(walk, errno, process->pid);
    (void)fclose(maps);
    if (any)
        report_tally(walk, process, "a mapped file", "mapped files");
    return rc;
}

static void read_comm(struct holders_process *process)
{
    autoclose int fd = openat(process->dir, "comm", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, process->comm, sizeof process->comm - 1);
    if (length > 0 && process->comm[length - 1] == '\n')
        length--;
    (void)snprintf(process->comm + (length > 0 ? length : 0), 2, "%s", length > 0 ? "" : "?");
}

static int check_process(struct holders_walk *walk, int proc, const char *pid)
{
    static int (*const checks[])(struct holders_walk *, const struct holders_process *) = {
        check_links, check_files, check_mappings};
    autoclose int dir = openat(proc, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) /* it ended */
        return holders_check_want(walk, errno, pid);
    struct holders_process process = {.pid = pid, .dir = dir};
    read_comm(&process);
    int rc = holders_check_mounts(walk, &process);
    if (!walk->mount_id && strcmp(pid, walk->own_pid) == 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < array_length(checks); i++)
        rc = checks[i](walk, &process);
    return rc;
}

static int check_processes(struct holders_walk *walk)
{
    autodir DIR *proc = opendir("/proc");
    if (!proc)
        return err_errno(walk->err, errno, "/proc", "cannot look for holders");
    for (struct dirent *entry; (errno = 0, entry = readdir(proc));) {
        if (!isdigit((unsigned char)*entry->d_name))
            continue;
        int rc = check_process(walk, dirfd(proc), entry->d_name);
        if (rc < 0)
            return rc;
    }
    return holders_check_want(walk, errno, "/proc");
}

/* ---- the walk ------------------------------------------------------------------------------- */

static void free_walk(struct holders_walk *walk)
{
    free(walk->devices);
    free(walk->counts);
    free(walk->views);
}

static int prepare_walk(struct holders_walk *walk)
{
    struct statx own;
    for (size_t i = 0; i < walk->n_targets; i++)
        walk->n_devices += walk->targets[i].n_devices;
    walk->devices = calloc(walk->n_devices + 1, sizeof *walk->devices);
    walk->counts = calloc(walk->n_targets + 1, sizeof *walk->counts);
    if (!walk->devices || !walk->counts)
        return err_errno(walk->err, ENOMEM, NULL, "cannot look for holders");
    size_t n = 0;
    for (size_t i = 0; i < walk->n_targets; i++)
        for (size_t k = 0; k < walk->targets[i].n_devices; k++)
            walk->devices[n++] = (struct holders_device){walk->targets[i].devices[k], i};
    qsort(walk->devices, n, sizeof *walk->devices, compare_devices);
    ssize_t length = readlink("/proc/self", walk->own_pid, sizeof walk->own_pid - 1);
    if (length < 0 || holders_look(AT_FDCWD, "/proc/self/ns/mnt", &own) < 0)
        return err_errno(walk->err, errno, "/proc/self", "cannot look for holders");
    walk->own_pid[length] = '\0';
    walk->own_namespace = own.stx_ino;
    return 0;
}

static int run_walk(struct holders_walk *walk)
{
    int rc = prepare_walk(walk);
    if (rc == 0)
        rc = check_processes(walk);
    if (rc == 0)
        rc = holders_check_kernel(walk);
    free_walk(walk);
    return rc;
}

int holders_find(dev_t fs_device, struct holders_target *targets, size_t n_targets, struct err *err)
{
    autoerr struct err unheard = {0};
    if (n_targets > HOLDERS_TARGETS_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, NULL, "too many targets: %zu", n_targets);
    struct holders_walk walk = {.fs_device = fs_device,
                                .targets = targets,
                                .n_targets = n_targets,
                                .err = err ? err : &unheard};
    return run_walk(&walk);
}

int holders_find_on_mount(const char *path, struct holders *out_holders, struct err *err)
{
    autoerr struct err unheard = {0};
    struct holders_target target = {0};
    struct holders_walk walk = {
        .mount_path = path, .targets = &target, .n_targets = 1, .err = err ? err : &unheard};
    autoclose int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, path, "cannot look for its holders");
    walk.mount_id = mounts_id(fd);
    int rc = mounts_super(fd, &walk.fs_device, NULL, walk.err);
    cleanup_fd(&fd); /* it would count */
    fd = -1;
    if (rc == 0)
        rc = run_walk(&walk);
    *out_holders = target.found;
    return rc;
}
