/*
 * A probe has two ways to the disk. By O_DIRECT it reads the places where btrfs keeps its
 * superblocks: what comes from the medium, and proves that it can be read. Then libblkid names what
 * it knows, through the page cache, in its plain loop rather than by safeprobe, which gives up when
 * two things are found: a disk that carries two is anything but blank. Not everything that people
 * put on disks has a name there (the labels of Amiga, BSD and Atari have none): where nothing else
 * is found, the first and the last MiB are read, by O_DIRECT again, and whatever stands there is a
 * signature too.
 *
 * "Nothing found" counts only when every read went well: whatever fails or changes midway makes the
 * outcome something else than PROBE_READ. No state; any number of threads.
 */
#include "probe.h"

#include "base/cleanup.h"
#include "erase.h"
#include "text.h"
#include "usage.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum {
    ALIGN_BYTES = 64 * 1024, /* fits any logical block */
    WINDOW_BYTES = 1024 * 1024,
    SECTOR_BYTES = 512, /* of the kernel: each disk has a whole number of them */
};

struct reading {
    const struct probe_request *request;
    struct probe_report *report;
    int fd;     /* what libblkid reads, and the claim */
    int direct; /* O_DIRECT */
    uint64_t size_bytes;
    uint8_t *window;  /* WINDOW_BYTES + ALIGN_BYTES, aligned */
    bool has_mark;    /* of a wipe */
    bool has_content; /* something stands at one of its ends */
    uint64_t content_at;
};

static int failed(struct reading *r, int os_errno, const char *what)
{
    r->report->outcome = PROBE_FAILED;
    r->report->os_errno = os_errno;
    (void)snprintf(r->report->failure, sizeof r->report->failure, "%s", what);
    return -1;
}

static bool medium_changed(const struct reading *r)
{
    uint64_t diskseq = 0;
    return r->request->diskseq != 0 && ioctl(r->fd, BLKGETDISKSEQ, &diskseq) == 0 &&
           diskseq != r->request->diskseq;
}

static int open_disk(struct reading *r)
{
    const struct probe_request *request = r->request;
    struct stat st;
    r->fd = open(request->path, O_RDONLY | O_CLOEXEC | (request->claim ? O_EXCL : 0));
    if (r->fd < 0 && request->claim && errno == EBUSY) {
        r->report->outcome = PROBE_CLAIMED;
        return -1;
    }
    if (r->fd < 0)
        return failed(r, errno, "opening it");
    if (fstat(r->fd, &st) < 0)
        return failed(r, errno, "looking at its node");
    if (!S_ISBLK(st.st_mode) || st.st_rdev != makedev(request->major, request->minor))
        return failed(r, ENXIO, "its node stands for another device");
    if (medium_changed(r)) {
        r->report->outcome = PROBE_CHANGED;
        return -1;
    }
    if (ioctl(r->fd, BLKGETSIZE64, &r->size_bytes) < 0)
        return failed(r, errno, "asking for its size");
    r->direct = open(request->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (r->direct < 0)
        return failed(r, errno, "opening it for direct reads");
    return 0;
}

static size_t clip(const struct reading *r, uint64_t offset, size_t length)
{
    return length > r->size_bytes - offset ? (size_t)(r->size_bytes - offset) : length;
}

/* Into the window, from an aligned offset; what lies beyond the disk's end is left out. */
static int read_window(struct reading *r, uint64_t offset, size_t length)
{
    length = clip(r, offset, length);
    for (size_t done = 0; done < length;) {
        ssize_t n = pread(r->direct, r->window + done, length - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            char what[PROBE_TEXT_MAX];
            int os_errno = n < 0 ? errno : EIO;
            (void)snprintf(what, sizeof what, "reading at %" PRIu64, offset + done);
            return failed(r, os_errno, what);
        }
        done += (size_t)n;
    }
    return 0;
}

static struct signature *add_signature(struct probe_report *report)
{
    report->n_found++;
    if (report->n_signatures == PROBE_SIGNATURES_MAX)
        return NULL;
    struct signature *signature = &report->signatures[report->n_signatures++];
    *signature = (struct signature){0};
    return signature;
}

/* All zeros, or all ones as of erased flash. */
static bool is_empty(const uint8_t sector[SECTOR_BYTES])
{
    return (sector[0] == 0 || sector[0] == UINT8_MAX) &&
           memcmp(sector, sector + 1, SECTOR_BYTES - 1) == 0;
}

/* Like read_window(); and notes the first sector that is not empty, if none is noted yet. What a
 * mkfs of ours left that was killed is nobody's. */
static int read_end(struct reading *r, uint64_t offset, size_t length)
{
    if (read_window(r, offset, length) < 0)
        return -1;
    length = clip(r, offset, length);
    uint64_t super_at = superblock_offsets[0];
    if (offset == 0 && length >= super_at + SUPERBLOCK_BYTES &&
        superblock_is_begun(r->window + super_at, POOL_LABEL_UNFINISHED_PREFIX))
        memset(r->window + super_at, 0, SUPERBLOCK_BYTES);
    for (size_t at = 0; at < length && !r->has_content; at += SECTOR_BYTES) {
        r->has_content = !is_empty(r->window + at);
        r->content_at = offset + at;
    }
    return 0;
}

/* The superblocks of btrfs; their places go to `out_magics`. */
static int read_superblocks(struct reading *r, bool out_magics[SUPERBLOCK_MIRRORS])
{
    for (size_t i = 0; i < SUPERBLOCK_MIRRORS; i++) {
        out_magics[i] = false;
        if (superblock_offsets[i] + SUPERBLOCK_BYTES > r->size_bytes)
            continue;
        if (read_window(r, superblock_offsets[i], ALIGN_BYTES) < 0)
            return -1;
        out_magics[i] = superblock_has_magic(r->window);
        if (i > 0)
            continue;
        r->has_mark = erase_is_marked(r->window);
        r->report->has_super = superblock_parse(r->window, &r->report->super) == 0;
    }
    return 0;
}

static int read_ends(struct reading *r)
{
    if (read_end(r, 0, WINDOW_BYTES) < 0)
        return -1;
    if (r->size_bytes <= WINDOW_BYTES)
        return 0;
    uint64_t last = (r->size_bytes - WINDOW_BYTES) / ALIGN_BYTES * ALIGN_BYTES;
    return read_end(r, last, WINDOW_BYTES + ALIGN_BYTES);
}

/* ---- libblkid ---- */

static bool find_value(blkid_probe probe, const char *name, char *out, size_t size)
{
    const char *data;
    size_t length;
    *out = '\0';
    if (blkid_probe_lookup_value(probe, name, &data, &length) < 0)
        return false;
    text_clean(out, size, data, length);
    return true;
}

static void take_signature(blkid_probe probe, struct probe_report *report)
{
    static const struct {
        const char *type, *offset, *usage, *label, *uuid;
    } kinds[] = {
        {"TYPE", "SBMAGIC_OFFSET", "USAGE", "LABEL", "UUID"},
        {"PTTYPE", "PTMAGIC_OFFSET", NULL, "", "PTUUID"},
    };
    char type[sizeof report->signatures->type], offset[32];
    for (size_t i = 0; i < array_length(kinds); i++) {
        if (!find_value(probe, kinds[i].type, type, sizeof type))
            continue;
        struct signature *s = add_signature(report);
        if (!s)
            continue;
        (void)snprintf(s->type, sizeof s->type, "%s", type);
        (void)snprintf(s->usage, sizeof s->usage, "partition table");
        if (kinds[i].usage && !find_value(probe, kinds[i].usage, s->usage, sizeof s->usage))
            (void)snprintf(s->usage, sizeof s->usage, "other");
        (void)find_value(probe, kinds[i].label, s->label, sizeof s->label);
        (void)find_value(probe, kinds[i].uuid, s->uuid, sizeof s->uuid);
        if (find_value(probe, kinds[i].offset, offset, sizeof offset))
            s->offset_bytes = strtoull(offset, NULL, 10);
    }
}

static int identify(struct reading *r)
{
    int rc = -1;
    blkid_probe probe = blkid_new_probe();
    if (!probe)
        return failed(r, ENOMEM, "preparing libblkid");
    (void)posix_fadvise(r->fd, 0, 0, POSIX_FADV_DONTNEED);
    if (blkid_probe_set_device(probe, r->fd, 0, 0) < 0 ||
        blkid_probe_enable_superblocks(probe, 1) < 0 ||
        blkid_probe_set_superblocks_flags(
            probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE | BLKID_SUBLKS_MAGIC |
                       BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID | BLKID_SUBLKS_BADCSUM) < 0 ||
        blkid_probe_enable_partitions(probe, 1) < 0 ||
        blkid_probe_set_partitions_flags(probe, BLKID_PARTS_FORCE_GPT | BLKID_PARTS_MAGIC) < 0) {
        (void)failed(r, errno ? errno : EIO, "preparing libblkid");
        goto out;
    }
    int found;
    while (errno = 0, (found = blkid_do_probe(probe)) == 0)
        take_signature(probe, r->report);
    /* 1: that was all. */
    rc = found == 1 ? 0 : failed(r, errno ? errno : EIO, "looking for signatures");
out:
    blkid_free_probe(probe);
    return rc;
}

/* libblkid reads the first superblock of btrfs only; a further one alone is no blank disk either.
 */
static void add_btrfs_remains(struct probe_report *report, const bool magics[SUPERBLOCK_MIRRORS])
{
    for (size_t i = 0; i < report->n_signatures; i++)
        if (strcmp(report->signatures[i].type, "btrfs") == 0)
            return;
    for (size_t i = 0; i < SUPERBLOCK_MIRRORS; i++) {
        struct signature *s = magics[i] ? add_signature(report) : NULL;
        if (!s)
            continue;
        (void)snprintf(s->type, sizeof s->type, "btrfs");
        (void)snprintf(s->usage, sizeof s->usage, "filesystem");
        s->offset_bytes = superblock_offsets[i] + SUPERBLOCK_MAGIC_AT;
    }
}

static void add_other(struct probe_report *report, const char *type, uint64_t offset_bytes)
{
    struct signature *s = add_signature(report);
    if (!s)
        return;
    (void)snprintf(s->type, sizeof s->type, "%s", type);
    (void)snprintf(s->usage, sizeof s->usage, "other");
    s->offset_bytes = offset_bytes;
}

/* After libblkid, before the rest: what it names may be newer than the wipe. */
static void add_mark(const struct reading *r)
{
    r->report->wipe_begun = r->has_mark && r->report->n_found == 0;
    if (r->report->wipe_begun)
        add_other(r->report, "unfinished wipe", superblock_offsets[0] + SUPERBLOCK_MAGIC_AT);
}

/* Where nothing else is found. */
static int add_content(struct reading *r)
{
    if (r->report->n_found > 0 || r->report->has_super)
        return 0;
    if (read_ends(r) < 0)
        return -1;
    if (r->has_content)
        add_other(r->report, "unknown data", r->content_at);
    return 0;
}

static int read_all(struct reading *r)
{
    bool magics[SUPERBLOCK_MIRRORS];
    void *window = NULL;
    if (posix_memalign(&window, ALIGN_BYTES, WINDOW_BYTES + ALIGN_BYTES) != 0)
        return failed(r, ENOMEM, "preparing to read");
    r->window = window;
    if (open_disk(r) < 0 || read_superblocks(r, magics) < 0 || identify(r) < 0)
        return -1;
    add_mark(r);
    add_btrfs_remains(r->report, magics);
    if (add_content(r) < 0)
        return -1;
    if (medium_changed(r)) {
        r->report->outcome = PROBE_CHANGED;
        return -1;
    }
    return 0;
}

void probe_disk(const struct probe_request *request, struct probe_report *out_report,
                int *out_claim)
{
    struct reading r = {.request = request, .report = out_report, .fd = -1, .direct = -1};
    *out_report = (struct probe_report){.outcome = PROBE_READ};
    *out_claim = -1;
    if (read_all(&r) == 0 && request->claim)
        *out_claim = take_fd(&r.fd);
    free(r.window);
    cleanup_fd(&r.direct);
    cleanup_fd(&r.fd);
}
