/*
 * The tables are read once into one list of claims, each on a block device by number or by kernel
 * name; a disk is used if a claim is on it or on one of its partitions. Only sysfs and procfs are
 * read. Loop thread.
 */
#include "usage.h"

#include "base/cleanup.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    CLAIM_TEXT_MAX = 200,
    FSID_LENGTH = 36,
};

struct claim {
    char name[SYSFS_NAME_MAX]; /* "" when it is by number */
    uint32_t major, minor;
    char text[CLAIM_TEXT_MAX];
    char label[CLAIM_TEXT_MAX]; /* of a mounted btrfs */
    char fsid[FSID_LENGTH + 1];
    bool btrfs;
};

struct usage {
    char sys[SYSFS_PATH_MAX];
    struct claim *claims;
    size_t n_claims, capacity;
};

static struct claim *add_claim(struct usage *usage)
{
    if (usage->n_claims == usage->capacity) {
        size_t capacity = usage->capacity ? 2 * usage->capacity : 32;
        struct claim *claims = reallocarray(usage->claims, capacity, sizeof *claims);
        if (!claims)
            return NULL;
        usage->claims = claims;
        usage->capacity = capacity;
    }
    struct claim *claim = &usage->claims[usage->n_claims++];
    *claim = (struct claim){0};
    return claim;
}

/* "/dev/cciss/c0d0" is "cciss!c0d0" to sysfs. False for what is not below /dev. */
static bool name_of_node(const char *path, char out_name[SYSFS_NAME_MAX])
{
    if (strncmp(path, "/dev/", 5) != 0 || strlen(path + 5) >= SYSFS_NAME_MAX)
        return false;
    (void)snprintf(out_name, SYSFS_NAME_MAX, "%s", path + 5);
    for (char *slash; (slash = strchr(out_name, '/'));)
        *slash = '!';
    return true;
}

/* Octal escapes of mountinfo and swaps: "\040" is a blank. */
static void unescape(char *text)
{
    char *out = text;
    for (; *text; text++, out++) {
        unsigned code;
        *out = *text;
        if (*text == '\\' && sscanf(text + 1, "%3o", &code) == 1 && code < 256) {
            *out = (char)code;
            text += 3;
        }
    }
    *out = '\0';
}

/* ---- each table ---- */

/* "36 35 8:1 / /mnt rw,noatime - ext4 /dev/sda1 rw" (proc_pid_mountinfo(5)). */
static int take_mount(struct usage *usage, char *line)
{
    uint32_t major, minor;
    int at = 0;
    char *rest = NULL;
    if (sscanf(line, "%*u %*u %" SCNu32 ":%" SCNu32 " %*s %n", &major, &minor, &at) != 2 ||
        at == 0 || major == 0)
        return 0;
    char *where = strtok_r(line + at, " ", &rest);
    if (!where)
        return 0;
    struct claim *claim = add_claim(usage);
    if (!claim)
        return -ENOMEM;
    unescape(where);
    claim->major = major;
    claim->minor = minor;
    (void)snprintf(claim->text, 12, "mounted on ");
    text_clean(claim->text + 11, sizeof claim->text - 11, where, strlen(where));
    return 0;
}

/* "/dev/sda2  partition  8388604  0  -2", below a line of titles. */
static int take_swap(struct usage *usage, char *line)
{
    char *rest = NULL;
    char *path = strtok_r(line, " \t", &rest);
    char name[SYSFS_NAME_MAX];
    if (!path)
        return 0;
    unescape(path);
    if (!name_of_node(path, name))
        return 0;
    struct claim *claim = add_claim(usage);
    if (!claim)
        return -ENOMEM;
    (void)snprintf(claim->name, sizeof claim->name, "%s", name);
    (void)snprintf(claim->text, sizeof claim->text, "swap on %s", name);
    return 0;
}

static int read_table(struct usage *usage, const char *proc, const char *table,
                      int (*take)(struct usage *usage, char *line), struct err *err)
{
    char path[SYSFS_PATH_MAX];
    autofree char *line = NULL;
    size_t size = 0;
    int rc = 0;
    (void)snprintf(path, sizeof path, "%s/%s", proc, table);
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT ? 0 : err_errno(err, errno, path, "cannot be read");
    for (ssize_t n; rc == 0 && (n = getline(&line, &size, file)) > 0;) {
        line[strcspn(line, "\n")] = '\0';
        rc = take(usage, line);
    }
    if (rc == 0 && ferror(file))
        rc = -EIO;
    (void)fclose(file);
    return rc < 0 ? err_errno(err, -rc, path, "cannot be read") : 0;
}

typedef int (*take_entry)(struct usage *usage, const char *folder, const char *name);

static int each_entry(struct usage *usage, const char *folder, take_entry take)
{
    int rc = 0;
    autodir DIR *dir = opendir(folder);
    if (!dir)
        return 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            rc = take(usage, folder, entry->d_name);
    return rc;
}

/* <sys>/fs/btrfs/<fsid>/devices holds a link for each block device of a mounted filesystem. */
static int take_btrfs_device(struct usage *usage, const char *folder, const char *name)
{
    struct claim *claim = add_claim(usage);
    if (!claim)
        return -ENOMEM;
    text_clean(claim->name, sizeof claim->name, name, strlen(name));
    claim->btrfs = true;
    (void)sysfs_read_text(claim->label, sizeof claim->label, "%s/../label", folder);
    (void)snprintf(claim->fsid, sizeof claim->fsid, "%s",
                   folder + strlen(folder) - strlen("/devices") - FSID_LENGTH);
    (void)snprintf(claim->text, sizeof claim->text, "part of the mounted btrfs %s", claim->fsid);
    return 0;
}

static int take_btrfs(struct usage *usage, const char *folder, const char *name)
{
    char devices[SYSFS_PATH_MAX];
    if (strlen(name) != FSID_LENGTH) /* "features" */
        return 0;
    int n = snprintf(devices, sizeof devices, "%s/%s/devices", folder, name);
    return n < (int)sizeof devices ? each_entry(usage, devices, take_btrfs_device) : 0;
}

/* A loop may stand on a disk, which does not list it as a holder. */
static int take_loop(struct usage *usage, const char *folder, const char *name)
{
    char backing[SYSFS_TEXT_MAX], on[SYSFS_NAME_MAX];
    if (strncmp(name, "loop", 4) != 0 ||
        sysfs_read_text(backing, sizeof backing, "%s/%s/loop/backing_file", folder, name) < 0 ||
        !name_of_node(backing, on))
        return 0;
    struct claim *claim = add_claim(usage);
    if (!claim)
        return -ENOMEM;
    (void)snprintf(claim->name, sizeof claim->name, "%s", on);
    (void)snprintf(claim->text, sizeof claim->text, "held by %.32s", name);
    return 0;
}

int usage_read(const char *sys, const char *proc, struct usage **out_usage, struct err *err)
{
    char folder[SYSFS_PATH_MAX + 16];
    struct usage *usage = calloc(1, sizeof *usage);
    if (!usage)
        return err_errno(err, ENOMEM, "disks", "cannot look at who uses them");
    (void)snprintf(usage->sys, sizeof usage->sys, "%s", sys);
    int rc = read_table(usage, proc, "self/mountinfo", take_mount, err);
    if (rc == 0)
        rc = read_table(usage, proc, "swaps", take_swap, err);
    if (rc == 0) {
        (void)snprintf(folder, sizeof folder, "%s/fs/btrfs", usage->sys);
        rc = each_entry(usage, folder, take_btrfs);
        (void)snprintf(folder, sizeof folder, "%s/class/block", usage->sys);
        if (rc == 0)
            rc = each_entry(usage, folder, take_loop);
        if (rc < 0)
            rc = err_errno(err, -rc, "disks", "cannot look at who uses them");
    }
    if (rc < 0) {
        usage_free(usage);
        return rc;
    }
    *out_usage = usage;
    return 0;
}

void usage_free(struct usage *usage)
{
    if (!usage)
        return;
    free(usage->claims);
    free(usage);
}

/* ---- one disk ---- */

struct finding {
    const struct usage *usage;
    struct disk_usage *use;
    unsigned n_pool, n_other;
};

static void add_use(struct finding *finding, const char *text, const struct claim *btrfs,
                    bool by_pool)
{
    struct disk_usage *use = finding->use;
    if (by_pool)
        finding->n_pool++;
    else
        finding->n_other++;
    if (btrfs && !*use->fsid) {
        (void)snprintf(use->label, sizeof use->label, "%s", btrfs->label);
        (void)snprintf(use->fsid, sizeof use->fsid, "%s", btrfs->fsid);
    }
    size_t used = strlen(use->by);
    (void)snprintf(use->by + used, sizeof use->by - used, "%s%s", used > 0 ? ", " : "", text);
}

/* `whole`: the device is the disk, not a partition on it. */
static void find_claims(struct finding *finding, const char *name, uint32_t major, uint32_t minor,
                        bool whole)
{
    for (size_t i = 0; i < finding->usage->n_claims; i++) {
        const struct claim *claim = &finding->usage->claims[i];
        bool hit = *claim->name ? strcmp(claim->name, name) == 0
                                : claim->major == major && claim->minor == minor;
        if (!hit)
            continue;
        bool ours = whole && claim->btrfs &&
                    strncmp(claim->label, POOL_LABEL_PREFIX, strlen(POOL_LABEL_PREFIX)) == 0;
        add_use(finding, claim->text, claim->btrfs ? claim : NULL, ours);
    }
}

static void find_holders(struct finding *finding, const char *folder)
{
    char path[SYSFS_PATH_MAX + 16], text[CLAIM_TEXT_MAX];
    (void)snprintf(path, sizeof path, "%s/holders", folder);
    autodir DIR *dir = opendir(path);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(text, sizeof text, "held by %.64s", entry->d_name);
        add_use(finding, text, NULL, false);
    }
}

static void find_partitions(struct finding *finding, const char *folder, const char *disk)
{
    autodir DIR *dir = opendir(folder);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[SYSFS_PATH_MAX], devnum[32];
        uint32_t major, minor;
        const char *name = entry->d_name;
        if (strncmp(name, disk, strlen(disk)) != 0 || strlen(name) >= SYSFS_NAME_MAX)
            continue;
        int n = snprintf(path, sizeof path, "%s/%s", folder, name);
        if (n >= (int)sizeof path || sysfs_read_text(devnum, sizeof devnum, "%s/dev", path) < 0 ||
            sscanf(devnum, "%" SCNu32 ":%" SCNu32, &major, &minor) != 2)
            continue;
        find_claims(finding, name, major, minor, false);
        find_holders(finding, path);
    }
}

void usage_of_disk(const struct usage *usage, const struct sysfs_device *device,
                   struct disk_usage *out_use)
{
    struct disk_usage use = {0};
    struct finding finding = {.usage = usage, .use = &use};
    char folder[SYSFS_PATH_MAX + SYSFS_NAME_MAX + 16];
    (void)snprintf(folder, sizeof folder, "%s/class/block/%s", usage->sys, device->name);
    find_claims(&finding, device->name, device->major, device->minor, true);
    find_holders(&finding, folder);
    find_partitions(&finding, folder, device->name);
    use.by_pool = finding.n_pool > 0 && finding.n_other == 0;
    *out_use = use;
}
