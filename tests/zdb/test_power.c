/*
 * The power fails under a server with --sync, at any moment, while files are rotated and compacted
 * and namespaces come and go: what was acknowledged before is there, to the byte, and what was
 * removed is gone. The disk is cut as powerhost.h tells, and a fresh server opens each cut. Two
 * times of three what was not flushed is lost as well.
 *
 * STORAGED_TEST_CUTS makes it longer (60), STORAGED_TEST_SEED throws the dice as they once fell.
 */
#include "dice.h"
#include "powerhost.h"
#include "powerwork.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DISK_BYTES (512 * MiB)

enum { CUTS = 60, ROUND_CUTS = 10, WARM = 500, APART = 200, APART_NS = 4000000 };

static const char *const flags[] = {"--sync", "--datasize", "512K", "--compact", "40", NULL};

struct cut {
    char *file;
    uint64_t before, after;
};

struct trial {
    const char *type; /* of the filesystem */
    struct powerhost host;
    struct disk *disk;
    char *original, *dir;
    struct server zdb;
    struct work *work;
    uint64_t random;
    struct cut cuts[ROUND_CUTS];
    struct work_sums sums;
};

static void mount_disk(struct trial *trial)
{
    if (mount(trial->disk->path, trial->dir, trial->type, MS_NOATIME, NULL) != 0)
        fail_msg("cannot mount the %s: %s", trial->type, strerror(errno));
}

static void make_filesystem(struct trial *trial)
{
    if (strcmp(trial->type, "ext4") == 0)
        command_ok("mkfs.ext4", "-q", "-F", "-E", "nodiscard", trial->disk->path);
    else
        command_ok("mkfs.btrfs", "-q", "-f", "-K", trial->disk->path);
    mount_disk(trial);
}

static void cut_under_load(struct trial *trial)
{
    make_filesystem(trial);
    server_start(&trial->zdb, flags);
    work_begin(trial->work, &trial->zdb);
    work_go_on(trial->work, WARM);
    for (size_t i = 0; i < ROUND_CUTS; i++) {
        struct timespec some = {.tv_nsec = (long)dice(&trial->random, APART_NS)};
        work_go_on(trial->work, 1 + (unsigned)dice(&trial->random, APART));
        (void)nanosleep(&some, NULL); /* so that a cut does not always follow a reply */
        trial->cuts[i].before = work_stamp(trial->work);
        trial->cuts[i].file = powerhost_cut(&trial->host, trial->disk);
        trial->cuts[i].after = work_stamp(trial->work);
    }
    work_end(trial->work);
    server_stop(&trial->zdb);
    assert_int_equal(umount2(trial->dir, 0), 0);
}

/* What is there explains itself to the independent reader, too. */
static void open_cut(struct trial *trial, const struct cut *cut)
{
    struct peer_ns back;
    powerhost_swap(&trial->host, &trial->disk, (char *const *)&cut->file, 1);
    mount_disk(trial);
    server_start(&trial->zdb, flags);
    work_check(trial->work, &trial->zdb, cut->before, cut->after, &trial->sums);
    server_stop(&trial->zdb);
    server_read_back(&trial->zdb, "default", &back);
    peer_ns_free(&back);
    server_read_back(&trial->zdb, "busy", &back);
    peer_ns_free(&back);
    assert_int_equal(umount2(trial->dir, 0), 0);
}

static void round_of_cuts(struct trial *trial)
{
    cut_under_load(trial);
    for (size_t i = 0; i < ROUND_CUTS; i++)
        open_cut(trial, &trial->cuts[i]);
    powerhost_swap(&trial->host, &trial->disk, &trial->original, 1);
    for (size_t i = 0; i < ROUND_CUTS; i++) {
        assert_int_equal(unlink(trial->cuts[i].file), 0);
        free(take_ptr(trial->cuts[i].file));
    }
}

static void cut_again_and_again(bool deep, const char *type)
{
    struct trial *trial = calloc(1, sizeof *trial);
    assert_non_null(trial);
    trial->random = dice_seed();
    trial->type = type;
    trial->host = powerhost_make(deep);
    trial->disk = powerhost_disk(&trial->host, DISK_BYTES);
    trial->original = powerhost_original(&trial->host, trial->disk);
    trial->dir = path_format("%s/zdb-%u", harness_dir(), trial->disk->number);
    assert_int_equal(mkdir(trial->dir, 0700), 0);
    server_init(&trial->zdb, trial->dir);
    /* Not on the disk that is cut. */
    (void)snprintf(trial->zdb.dir, sizeof trial->zdb.dir, "%s", harness_dir());
    (void)snprintf(trial->zdb.socket, sizeof trial->zdb.socket, "%s/zdb.sock", harness_dir());
    (void)snprintf(trial->zdb.log, sizeof trial->zdb.log, "%s/zdb.log", harness_dir());
    trial->work = work_new(dice(&trial->random, UINT64_MAX) | 1);
    unsigned long cuts = number_from_environment("STORAGED_TEST_CUTS", CUTS) / 3, n = 0;
    for (; n < cuts; n += ROUND_CUTS)
        round_of_cuts(trial);
    (void)fprintf(
        stderr, "%lu cuts of %s%s: %u values and namespaces seen, %u of them in the air\n", n, type,
        deep ? ", unflushed lost" : "", trial->sums.n_checked, trial->sums.n_in_the_air);
    assert_true(trial->sums.n_checked > 0 && trial->sums.n_in_the_air > 0);
    work_free(trial->work);
    powerhost_clear(&trial->host);
    free(trial->original);
    free(trial->dir);
    free(trial);
}

static void what_was_acknowledged_outlives_a_power_cut(void)
{
    cut_again_and_again(false, "btrfs");
}

static void what_was_acknowledged_outlives_what_was_not_flushed(void)
{
    cut_again_and_again(true, "btrfs");
}

static void what_was_acknowledged_outlives_it_on_another_filesystem(void)
{
    cut_again_and_again(true, "ext4");
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(what_was_acknowledged_outlives_a_power_cut),
        harness_case(what_was_acknowledged_outlives_what_was_not_flushed),
        harness_case(what_was_acknowledged_outlives_it_on_another_filesystem),
    };
    return harness_main(argc, argv, "zdb_power", cases, array_length(cases));
}
