/*
 * How far from its ends a disk is erased: the farthest that libblkid looks from the beginning is
 * the second header of LUKS 2 at 4 MiB (libblkid/src/superblocks/luks.c of util-linux 2.38), from
 * the end the RAID superblocks, within 1 MiB. Twice that.
 *
 * First of all the mark replaces the first superblock of btrfs, by one sector, which a disk writes
 * whole or not at all; last of all it goes. In between come random bytes everywhere else, then
 * zeros. Each of the four is on the disk before the next one begins.
 */
#include "erase.h"

#include "base/cleanup.h"
#include "base/step.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    MIB = 1 << 20,
    END_BYTES = 8 * MIB,
    PART_BYTES = 2 * MIB,        /* of one write */
    SIGNATURE_BYTES = 64 * 1024, /* around one: from 4 KiB before it */
    BEFORE_SIGNATURE = 4096,
};

struct erasure {
    int fd;
    uint64_t size_bytes;
    uint8_t *bytes; /* PART_BYTES, zeros unless `random` */
    bool random;    /* and new ones for each write */
};

static const char mark[] = "storaged: this disk is being wiped";

bool erase_is_marked(const uint8_t super[SUPERBLOCK_BYTES])
{
    return memcmp(super + SUPERBLOCK_MAGIC_AT, mark, sizeof mark) == 0;
}

static int fill_random(uint8_t *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t got = getrandom(bytes + done, length - done, 0);
        if (got < 0 && errno != EINTR)
            return -errno;
        done += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static int write_all(int fd, const uint8_t *bytes, size_t length, uint64_t offset)
{
    while (length > 0) {
        ssize_t wrote = step_around(pwrite(fd, bytes, length, (off_t)offset));
        if (wrote < 0 && errno != EINTR)
            return -errno;
        if (wrote > 0) {
            bytes += wrote;
            length -= (size_t)wrote;
            offset += (uint64_t)wrote;
        }
    }
    return 0;
}

/* Of the range, what lies on the disk. */
static int erase_range(const struct erasure *e, uint64_t from, uint64_t length)
{
    uint64_t size = e->size_bytes;
    uint64_t end = from > size || length > size - from ? size : from + length;
    int rc = 0;
    while (rc == 0 && from < end) {
        size_t part = end - from < PART_BYTES ? (size_t)(end - from) : PART_BYTES;
        if (e->random)
            rc = fill_random(e->bytes, part);
        if (rc == 0)
            rc = write_all(e->fd, e->bytes, part, from);
        from += part;
    }
    return rc;
}

/* All but the mark's place. */
static int erase_around_mark(const struct erasure *e)
{
    const uint64_t place = superblock_offsets[0], behind = place + SUPERBLOCK_BYTES;
    uint64_t tail = e->size_bytes > 2 * END_BYTES ? e->size_bytes - END_BYTES : END_BYTES;
    int rc = erase_range(e, 0, place);
    if (rc == 0)
        rc = erase_range(e, behind, END_BYTES - behind);
    for (size_t i = 1; rc == 0 && i < SUPERBLOCK_MIRRORS; i++)
        rc = erase_range(e, superblock_offsets[i], SUPERBLOCK_BYTES);
    return rc == 0 ? erase_range(e, tail, END_BYTES) : rc;
}

static int write_mark(const struct erasure *e)
{
    const uint64_t place = superblock_offsets[0];
    uint8_t bytes[SUPERBLOCK_BYTES];
    if (e->size_bytes < place + sizeof bytes)
        return 0;
    int rc = fill_random(bytes, sizeof bytes);
    memcpy(bytes + SUPERBLOCK_MAGIC_AT, mark, sizeof mark);
    return rc == 0 ? write_all(e->fd, bytes, sizeof bytes, place) : rc;
}

static int erase_mark(const struct erasure *e)
{
    return erase_range(e, superblock_offsets[0], SUPERBLOCK_BYTES);
}

static int make_durable(int fd, int rc)
{
    if (rc == 0 && step_around(fsync(fd)) < 0)
        rc = -errno;
    return rc;
}

static int end(const struct erasure *e, int rc, const char *object, struct err *err)
{
    free(e->bytes);
    return rc < 0 ? err_errno(err, -rc, object, "cannot write to the disk") : 0;
}

int erase_ends(int fd, uint64_t size_bytes, const char *object, struct err *err)
{
    struct erasure e = {fd, size_bytes, malloc(PART_BYTES), true};
    int rc = e.bytes ? make_durable(fd, write_mark(&e)) : -ENOMEM;
    if (rc == 0)
        rc = make_durable(fd, erase_around_mark(&e));
    if (rc == 0) {
        e.random = false;
        memset(e.bytes, 0, PART_BYTES);
        rc = make_durable(fd, erase_around_mark(&e));
    }
    if (rc == 0)
        rc = make_durable(fd, erase_mark(&e));
    return end(&e, rc, object, err);
}

int erase_signature(int fd, uint64_t size_bytes, uint64_t offset_bytes, const char *object,
                    struct err *err)
{
    uint64_t from = offset_bytes - offset_bytes % BEFORE_SIGNATURE;
    from -= from < BEFORE_SIGNATURE ? from : BEFORE_SIGNATURE;
    struct erasure e = {fd, size_bytes, malloc(SIGNATURE_BYTES), true};
    int rc = e.bytes ? make_durable(fd, erase_range(&e, from, SIGNATURE_BYTES)) : -ENOMEM;
    if (rc == 0) {
        e.random = false;
        memset(e.bytes, 0, SIGNATURE_BYTES);
        rc = make_durable(fd, erase_range(&e, from, SIGNATURE_BYTES));
    }
    return end(&e, rc, object, err);
}
