/*
 * Holders, see the header. One walk over /proc: each process is opened once and asked for its
 * directories, descriptors and mappings; each pair of mount namespace and root for its mounts,
 * once. What is found is matched by device number against a sorted list of all targets' devices, so
 * that the cost does not grow with the number of targets. statx() is told not to ask network
 * filesystems.
 */
#include "holders.h"

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

enum { COMM_SIZE = 32, WORDS_MAX = 512 };

struct device_of {
    dev_t device;
    size_t target;
};

/* mountinfo shows what can be reached from the process's root: a chroot sees other mounts. */
struct view {
    uint64_t namespace_inode;
    dev_t root_device;
    uint64_t root_inode;
};

struct walk {
    dev_t fs_device;
    int mount_id;           /* not 0: whatever lies on this mount holds the only target */
    const char *mount_path; /* of that mount */
    struct holders_target *targets;
    size_t n_targets;
    struct device_of *devices; /* sorted by device */
    size_t n_devices;
    unsigned *counts; /* per target: matches in what is being looked at */
    struct view *views;
    size_t n_views;
    uint64_t own_namespace;
    char own_pid[16];
    struct err *err;
};

/* The process being looked at. */
struct process {
    const char *pid;
    int dir;
    char comm[COMM_SIZE];
};

/* ---- what was found ------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void add_holder(struct holders *holders,
                                                             const char *fmt, ...)
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
    const struct device_of *left = a, *right = b;
    return left->device < right->device ? -1 : left->device > right->device;
}

static dev_t device_of(const struct statx *status)
{
    return makedev(status->stx_dev_major, status->stx_dev_minor);
}

/* The target that it lies in, or NULL. */
static struct holders_target *match(const struct walk *walk, const struct statx *status)
{
    struct device_of key = {.device = device_of(status)};
    if (walk->mount_id)
        return status->stx_mnt_id == (uint64_t)walk->mount_id ? walk->targets : NULL;
    const struct device_of *found =
        bsearch(&key, walk->devices, walk->n_devices, sizeof key, compare_devices);
    return found ? &walk->targets[found->target] : NULL;
}

/* Counts one thing inside a target; report_tally() turns the counts into words. */
static bool tally(struct walk *walk, const struct statx *status)
{
    const struct holders_target *target = match(walk, status);
    if (target)
        walk->counts[target - walk->targets]++;
    return target != NULL;
}

static void report_tally(struct walk *walk, const struct process *process, const char *one,
                         const char *many)
{
    for (size_t i = 0; i < walk->n_targets; i++) {
        if (walk->counts[i] == 1)
            add_holder(&walk->targets[i].found, "pid %s (%s): %s", process->pid, process->comm,
                       one);
        else if (walk->counts[i] > 1)
            add_holder(&walk->targets[i].found, "pid %s (%s): %u %s", process->pid, process->comm,
                       walk->counts[i], many);
        walk->counts[i] = 0;
    }
}

/* ---- one process ---------------------------------------------------------------------------- */

/*
 * A process that ends is no holder. One that not even we may look into (a security module, a user
 * namespace above ours) is passed over, or it would keep every space from ever being released: what
 * it has open stays readable for it until it closes it. Its mounts are looked at all the same.
 */
static void pass_over(const struct process *process, int os_errno, const char *what)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    if ((os_errno == EACCES || os_errno == EPERM) && !atomic_flag_test_and_set(&told))
        log_warning("a process cannot be looked into for holders, nor may others", "pid",
                    process->pid, "what", what);
}

static int look(int dir, const char *name, struct statx *out_status)
{
    return statx(dir, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO | STATX_MNT_ID,
                 out_status) < 0
               ? -errno
               : 0;
}

static int check_links(struct walk *walk, const struct process *process)
{
    static const struct {
        const char *name, *words;
    } links[] = {
        {"cwd", "working directory"}, {"root", "root directory"}, {"exe", "running program"}};
    for (size_t i = 0; i < array_length(links); i++) {
        struct statx status;
        int rc = look(process->dir, links[i].name, &status);
        if (rc < 0)
            pass_over(process, -rc, links[i].name);
        else if (tally(walk, &status))
            report_tally(walk, process, links[i].words, links[i].words);
    }
    return 0;
}

static int check_files(struct walk *walk, const struct process *process)
{
    bool any = false;
    int fd = openat(process->dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        pass_over(process, errno, "fd");
        return 0;
    }
    autodir DIR *dir = fdopendir(fd);
    if (!dir) {
        (void)close(fd);
        return err_errno(walk->err, errno, process->pid, "cannot read its descriptors");
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct statx status;
        if (isdigit((unsigned char)*entry->d_name) && look(fd, entry->d_name, &status) == 0)
            any |= tally(walk, &status);
    }
    if (any)
        report_tally(walk, process, "an open file", "open files");
    return 0;
}

/*
 * maps names the superblock's device, which is the same for all subvolumes: enough to pass over
 * all that lies elsewhere. The range at the line's start is the mapping's name in map_files.
 */
static int check_mappings(struct walk *walk, const struct process *process)
{
    bool any = false;
    size_t size = 0;
    autofree char *line = NULL;
    int fd = openat(process->dir, "maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        pass_over(process, errno, "maps");
        return 0;
    }
    FILE *maps = fdopen(fd, "re");
    if (!maps) {
        (void)close(fd);
        return err_errno(walk->err, errno, process->pid, "cannot read its mappings");
    }
    while (getline(&line, &size, maps) > 0) {
        char range[64], path[96];
        unsigned device_major, device_minor;
        struct statx status;
        if (sscanf(line, "%63s %*s %*s %x:%x", range, &device_major, &device_minor) != 3 ||
            makedev(device_major, device_minor) != walk->fs_device)
            continue;
        (void)snprintf(path, sizeof path, "map_files/%s", range);
        if (look(process->dir, path, &status) == 0)
            any |= tally(walk, &status);
    }
    (void)fclose(maps);
    if (any)
        report_tally(walk, process, "a mapped file", "mapped files");
    return 0;
}

/* ---- mounts --------------------------------------------------------------------------------- */

struct mounts_search {
    struct walk *walk;
    const struct process *process;
    bool own;
};

static int match_mount(const struct mounts_entry *entry, void *data)
{
    const struct mounts_search *search = data;
    struct walk *walk = search->walk;
    if (walk->mount_id) {
        if (search->own && entry->id != walk->mount_id &&
            mounts_is_below(entry->target, walk->mount_path))
            add_holder(&walk->targets->found, "mounted at %s", entry->target);
        return 0;
    }
    if (entry->device != walk->fs_device)
        return 0;
    for (size_t i = 0; i < walk->n_targets; i++) {
        struct holders_target *target = &walk->targets[i];
        for (const char *const *path = target->paths; *path; path++) {
            if (!mounts_is_below(entry->root, *path))
                continue;
            if (search->own)
                add_holder(&target->found, "mounted at %s", entry->target);
            else
                add_holder(&target->found, "mount namespace of pid %s (%s): %s",
                           search->process->pid, search->process->comm, entry->target);
        }
    }
    return 0;
}

/* Whether this is the first process seen with this view of the mounts. */
static int remember_view(struct walk *walk, const struct view *view)
{
    for (size_t i = 0; i < walk->n_views; i++)
        if (walk->views[i].namespace_inode == view->namespace_inode &&
            walk->views[i].root_device == view->root_device &&
            walk->views[i].root_inode == view->root_inode)
            return 0;
    struct view *grown = reallocarray(walk->views, walk->n_views + 1, sizeof *grown);
    if (!grown)
        return err_errno(walk->err, ENOMEM, NULL, "cannot look for holders");
    walk->views = grown;
    walk->views[walk->n_views++] = *view;
    return 1;
}

/* Without a namespace to tell, it is a view of its own: mountinfo needs no more rights than /proc.
 */
static int tell_view(const struct process *process, struct view *out_view)
{
    struct statx space = {0}, root = {0};
    int rc = look(process->dir, "ns/mnt", &space);
    if (rc == 0)
        rc = look(process->dir, "root", &root);
    if (rc < 0 && rc != -EACCES && rc != -EPERM)
        return rc;
    if (rc < 0) {
        pass_over(process, -rc, "ns/mnt");
        space.stx_ino = 0;
        root.stx_ino = strtoull(process->pid, NULL, 10);
    }
    *out_view = (struct view){space.stx_ino, device_of(&root), root.stx_ino};
    return 0;
}

static int check_mounts(struct walk *walk, const struct process *process)
{
    struct view view;
    if (tell_view(process, &view) < 0)
        return 0; /* it ends */
    int rc = remember_view(walk, &view);
    if (rc <= 0)
        return rc;
    char path[64];
    struct mounts_search search = {walk, process, view.namespace_inode == walk->own_namespace};
    (void)snprintf(path, sizeof path, "/proc/%s/mountinfo", process->pid);
    rc = mounts_each(path, match_mount, &search, walk->err);
    if (rc == -ERR_NOT_FOUND) {
        walk->n_views--; /* it ended: the next one of this view is asked instead */
        err_clear(walk->err);
        return 0;
    }
    return rc;
}

static void read_comm(struct process *process)
{
    autoclose int fd = openat(process->dir, "comm", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, process->comm, sizeof process->comm - 1);
    if (length > 0 && process->comm[length - 1] == '\n')
        length--;
    (void)snprintf(process->comm + (length > 0 ? length : 0), 2, "%s", length > 0 ? "" : "?");
}

static int check_process(struct walk *walk, int proc, const char *pid)
{
    static int (*const checks[])(struct walk *, const struct process *) = {check_links, check_files,
                                                                           check_mappings};
    autoclose int dir = openat(proc, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return 0; /* it ended */
    struct process process = {.pid = pid, .dir = dir};
    read_comm(&process);
    int rc = check_mounts(walk, &process);
    if (!walk->mount_id && strcmp(pid, walk->own_pid) == 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < array_length(checks); i++)
        rc = checks[i](walk, &process);
    return rc;
}

static int check_processes(struct walk *walk)
{
    autodir DIR *proc = opendir("/proc");
    if (!proc)
        return err_errno(walk->err, errno, "/proc", "cannot look for holders");
    for (struct dirent *entry; (entry = readdir(proc));) {
        if (!isdigit((unsigned char)*entry->d_name))
            continue;
        int rc = check_process(walk, dirfd(proc), entry->d_name);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- what the kernel holds itself ----------------------------------------------------------- */

static void check_path(struct walk *walk, const char *path, const char *words)
{
    struct statx status;
    if (look(AT_FDCWD, path, &status) < 0)
        return;
    struct holders_target *target = match(walk, &status);
    if (target)
        add_holder(&target->found, "%s %s", words, path);
}

/* The byte that a "\040" at this place stands for, or -1; proc(5). */
static int octal_at(const char *text)
{
    unsigned value = 0;
    if (*text++ != '\\')
        return -1;
    for (int digit = 0; digit < 3; digit++, text++) {
        if (*text < '0' || *text > '7')
            return -1;
        value = value << 3 | (unsigned)(*text - '0');
    }
    return (int)(value & 0xff);
}

static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        int byte = octal_at(from);
        *to = byte < 0 ? *from : (char)byte;
        from += byte < 0 ? 1 : 4;
    }
    *to = '\0';
}

static void check_swaps(struct walk *walk)
{
    size_t size = 0;
    autofree char *line = NULL;
    FILE *swaps = fopen("/proc/swaps", "re");
    while (swaps && getline(&line, &size, swaps) > 0) {
        if (*line != '/')
            continue;
        line[strcspn(line, " \t\n")] = '\0';
        unescape(line);
        check_path(walk, line, "swap file");
    }
    if (swaps)
        (void)fclose(swaps);
}

static void check_loops(struct walk *walk)
{
    autodir DIR *blocks = opendir("/sys/block");
    for (struct dirent *entry; blocks && (entry = readdir(blocks));) {
        char path[288], file[PATH_MAX];
        if (strncmp(entry->d_name, "loop", 4) != 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/loop/backing_file", entry->d_name);
        autoclose int fd = openat(dirfd(blocks), path, O_RDONLY | O_CLOEXEC);
        ssize_t length = fd < 0 ? -1 : read(fd, file, sizeof file - 1);
        if (length <= 0)
            continue;
        file[length - (file[length - 1] == '\n')] = '\0';
        (void)snprintf(path, sizeof path, "%s backed by", entry->d_name);
        check_path(walk, file, path);
    }
}

/* ---- the walk ------------------------------------------------------------------------------- */

static void free_walk(struct walk *walk)
{
    free(walk->devices);
    free(walk->counts);
    free(walk->views);
}

static int prepare_walk(struct walk *walk)
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
            walk->devices[n++] = (struct device_of){walk->targets[i].devices[k], i};
    qsort(walk->devices, n, sizeof *walk->devices, compare_devices);
    ssize_t length = readlink("/proc/self", walk->own_pid, sizeof walk->own_pid - 1);
    if (length < 0 || look(AT_FDCWD, "/proc/self/ns/mnt", &own) < 0)
        return err_errno(walk->err, errno, "/proc/self", "cannot look for holders");
    walk->own_pid[length] = '\0';
    walk->own_namespace = own.stx_ino;
    return 0;
}

static int run_walk(struct walk *walk)
{
    int rc = prepare_walk(walk);
    if (rc == 0)
        rc = check_processes(walk);
    if (rc == 0) {
        check_swaps(walk);
        check_loops(walk);
    }
    free_walk(walk);
    return rc;
}

int holders_find(dev_t fs_device, struct holders_target *targets, size_t n_targets, struct err *err)
{
    autoerr struct err unheard = {0};
    if (n_targets > HOLDERS_TARGETS_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, NULL, "too many targets: %zu", n_targets);
    struct walk walk = {.fs_device = fs_device,
                        .targets = targets,
                        .n_targets = n_targets,
                        .err = err ? err : &unheard};
    return run_walk(&walk);
}

int holders_find_on_mount(const char *path, struct holders *out_holders, struct err *err)
{
    autoerr struct err unheard = {0};
    struct holders_target target = {0};
    struct walk walk = {
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
