/*
 * How far from its ends a disk is erased: the farthest that libblkid looks from the beginning is
 * the second header of LUKS 2 at 4 MiB (libblkid/src/superblocks/luks.c of util-linux 2.38), from
 * the end the RAID superblocks, within 1 MiB. Twice that.
 */
#include "erase.h"

#include "base/cleanup.h"
#include "superblock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    MIB = 1 << 20,
    END_BYTES = 8 * MIB,
    SIGNATURE_BYTES = 64 * 1024, /* around one: from 4 KiB before it */
    BEFORE_SIGNATURE = 4096,
};

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
        ssize_t wrote = pwrite(fd, bytes, length, (off_t)offset);
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
static int erase_range(int fd, uint64_t size, uint64_t from, uint64_t length)
{
    autofree uint8_t *bytes = malloc(MIB);
    uint64_t end = from > size || length > size - from ? size : from + length;
    int rc = bytes ? 0 : -ENOMEM;
    while (rc == 0 && from < end) {
        size_t part = end - from < MIB ? (size_t)(end - from) : MIB;
        rc = fill_random(bytes, part);
        if (rc == 0)
            rc = write_all(fd, bytes, part, from);
        from += part;
    }
    return rc;
}

static int make_durable(int fd, int rc, const char *object, struct err *err)
{
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    return rc < 0 ? err_errno(err, -rc, object, "cannot write to the disk") : 0;
}

int erase_ends(int fd, uint64_t size_bytes, const char *object, struct err *err)
{
    int rc = 0;
    for (size_t i = SUPERBLOCK_MIRRORS - 1; rc == 0 && i > 0; i--)
        rc = erase_range(fd, size_bytes, superblock_offsets[i], SUPERBLOCK_BYTES);
    uint64_t tail = size_bytes > 2 * END_BYTES ? size_bytes - END_BYTES : END_BYTES;
    if (rc == 0)
        rc = erase_range(fd, size_bytes, tail, END_BYTES);
    rc = make_durable(fd, rc, object, err);
    if (rc < 0)
        return rc;
    return make_durable(fd, erase_range(fd, size_bytes, 0, END_BYTES), object, err);
}

int erase_signature(int fd, uint64_t size_bytes, uint64_t offset_bytes, const char *object,
                    struct err *err)
{
    uint64_t from = offset_bytes - offset_bytes % BEFORE_SIGNATURE;
    from -= from < BEFORE_SIGNATURE ? from : BEFORE_SIGNATURE;
    return make_durable(fd, erase_range(fd, size_bytes, from, SIGNATURE_BYTES), object, err);
}
