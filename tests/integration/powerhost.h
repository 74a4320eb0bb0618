/*
 * A power cut: the backing file of a disk is cloned in one step while the node works on it.
 *
 * The files lie on a btrfs of the test's own. FICLONE waits for the write that is under way and
 * holds off the next: what the loop driver has written becomes the clone, in its order, up to one
 * moment, whether it was flushed or not.
 *
 * A deep host loses what was not flushed, as a disk's own cache does: between the disks' files and
 * the btrfs there is an ext4, and it is the ext4's disk that is cloned. What a disk was told to
 * flush has been fsynced there; of the rest some is there and some is not, in no order.
 */
#ifndef TESTS_INTEGRATION_POWERHOST_H
#define TESTS_INTEGRATION_POWERHOST_H

#include "harness.h"

struct powerhost {
    char *path;       /* of the btrfs */
    struct disk *top; /* a deep host's: the ext4's disk; NULL */
    char *top_path;   /* and where that is mounted */
    unsigned n_cuts;
};

/* Lives as long as the test, but for the texts. */
struct powerhost powerhost_make(bool deep);
void powerhost_clear(struct powerhost *host);
/* A blank disk whose file lies on the host, plugged in. */
struct disk *powerhost_disk(const struct powerhost *host, uint64_t size_bytes);
/* The power fails for this disk, and for all if the host is deep: what is there at this moment, as
 * a file; the caller frees. */
char *powerhost_cut(struct powerhost *host, const struct disk *disk);

/* The file that a cut of this disk is a clone of; the caller frees. */
char *powerhost_original(const struct powerhost *host, const struct disk *disk);
/* Unplugs what each of the disks holds and plugs these files in, originals or cuts, under the same
 * names. For a deep host the first stands for all. */
void powerhost_swap(struct powerhost *host, struct disk *const *disks, char *const *files,
                    size_t n);

#endif
