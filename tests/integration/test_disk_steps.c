/*
 * diskd is killed at its n-th step, for every n of a wipe and of a preparation. Steps stand before
 * and after each change to a disk (lib/base/step.h); of mkfs.btrfs, whose changes are its own, each
 * is a step as well (mkfshalt.c). Afterwards the disk is what it was, or ours and unfinished, or
 * says that a wipe was cut off, or is blank; and a retry ends as the verb would have.
 */
#include "base/uuid.h"
#include "disknode.h"
#include "steps.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define DISK_BYTES (512 * MiB)
#define MKFS       "/usr/sbin/mkfs.btrfs"

enum { STEPS_MAX = 400, MKFS_DISKS = 16 };

static char fsid[UUID_TEXT_SIZE]; /* of the pool that is laid; mkfs takes none that a disk has */

/* ---- a node, and a client that does not try again by itself ---- */

static struct node *create_node(struct disk *const *disks)
{
    struct node *node = disknode_create_list(disks);
    node_set(node, "supervisor.healthy_ms", "1"); /* it dies young, again and again */
    return node;
}

static struct storage *impatient(const struct node *node)
{
    const struct storage_options options = {.run_dir = node->run_dir,
                                            .timeout_ms = HARNESS_WAIT_MS};
    struct storage *storage = NULL;
    assert_int_equal(storage_open(&options, &storage, NULL), 0);
    return storage;
}

static int prepare(struct storage *storage, const struct disk *disk, const char *request_id,
                   struct err *err)
{
    autoreply Storage__V1__PrepareReply *reply = NULL;
    assert_int_equal(storage_set_request_id(storage, request_id, NULL), 0);
    return call_prepare(storage, disk->path, &reply, err);
}

static int wipe(struct storage *storage, const struct disk *disk, bool force,
                const char *request_id, struct err *err)
{
    Storage__V1__WipeRequest request = STORAGE__V1__WIPE_REQUEST__INIT;
    autoreply Storage__V1__Disk *reply = NULL;
    request.id = (char *)(uintptr_t)disk_name(disk);
    request.pool = fsid;
    request.force = force;
    assert_int_equal(storage_set_request_id(storage, request_id, NULL), 0);
    return storage_call(storage, "storage.v1.DiskService/Wipe", &request, &reply, err);
}

static int wipe_pool(struct storage *storage, const struct disk *disk, const char *request_id,
                     struct err *err)
{
    return wipe(storage, disk, false, request_id, err);
}

static int wipe_stranger(struct storage *storage, const struct disk *disk, const char *request_id,
                         struct err *err)
{
    return wipe(storage, disk, true, request_id, err);
}

static Storage__V1__DiskState state_of(struct node *node, const struct disk *disk)
{
    autoreply Storage__V1__Disk *seen = disknode_probe(node, disk);
    return seen->state;
}

typedef int (*verb_fn)(struct storage *storage, const struct disk *disk, const char *request_id,
                       struct err *err);

static void must_wipe(struct node *node, verb_fn verb, const struct disk *disk,
                      const char *request_id)
{
    autoerr struct err err = {0};
    assert_ok(verb(node->storage, disk, request_id, &err), &err);
    const struct command look = {.argv = {"wipefs", "--no-act", "--noheadings", disk->path}};
    struct command_result result = command_run(&look);
    assert_int_equal(result.status, 0);
    assert_string_equal(result.out, "");
    assert_int_equal(state_of(node, disk), STATE(BLANK));
}

/* The request that was cut makes the pool, or finds it; another one is refused what is there. */
static void must_be_prepared(struct node *node, const struct disk *disk, const char *request_id,
                             bool is_retry)
{
    autoerr struct err err = {0};
    Storage__V1__DiskState before = state_of(node, disk);
    autofree char *told = path_format("%s is not blank", disk->path);
    int rc = prepare(node->storage, disk, request_id, &err);
    if (before == STATE(BLANK) || is_retry)
        assert_ok(rc, &err);
    else
        assert_refused(rc, &err, ERR_FAILED_PRECONDITION, told);
    command_ok("btrfs", "check", disk->path);
    assert_int_equal(state_of(node, disk), STATE(UNFINISHED));
}

/* ---- every step of a verb ---- */

/* False when the verb was over before its n-th step. */
static bool cut(struct node *node, struct steps *steps, unsigned n, verb_fn verb,
                const struct disk *disk, const char *request_id)
{
    autoerr struct err err = {0};
    struct worker_info old = node_wait_worker(node, "diskd", 0);
    struct storage *storage = impatient(node);
    steps_allow(steps, n);
    int rc = verb(storage, disk, request_id, &err);
    bool over = steps_are_over(steps);
    steps_spare(steps);
    storage_close(storage);
    if (!over) {
        assert_ok(rc, &err);
        return false;
    }
    assert_refused(rc, &err, ERR_UNAVAILABLE, "");
    struct worker_info now = node_wait_worker(node, "diskd", old.epoch);
    disknode_wait_settled(node);
    assert_string_equal(now.exit_reason, "signal 9 (Killed)");
    return true;
}

/* ---- what stands where a wipe writes ---- */

enum {
    END_BYTES = 8 * MiB,
    BLOCK = 4096,
    APART = MiB / 4,
    PLACES = 2 * (END_BYTES / APART + 1) + 1
};

/* Of the blocks there, against how they were before a wipe. */
struct places {
    unsigned n_kept, n_random, n_zeroed; /* kept, and not zeros; zeros, and were not */
};

/* Of both ends blocks from the first to the last, and the second superblock. */
static uint64_t place(size_t i)
{
    const size_t n = END_BYTES / APART;
    if (i == PLACES - 1)
        return 64 * MiB;
    uint64_t end = i <= n ? 0 : DISK_BYTES - END_BYTES;
    uint64_t at = i % (n + 1) * APART;
    return end + (at < END_BYTES ? at : END_BYTES - BLOCK);
}

/* PLACES blocks. */
static uint8_t *read_places(const struct disk *disk)
{
    uint8_t *bytes = malloc(PLACES * BLOCK);
    autoclose int fd = open(disk->path, O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < PLACES; i++)
        assert_int_equal(pread(fd, bytes + i * BLOCK, BLOCK, (off_t)place(i)), BLOCK);
    return bytes;
}

static bool is_random(const uint8_t block[BLOCK])
{
    bool seen[256] = {0};
    unsigned n = 0;
    for (size_t i = 0; i < BLOCK; i++) {
        n += !seen[block[i]];
        seen[block[i]] = true;
    }
    return n > 200;
}

static struct places compare_places(const uint8_t *before, const uint8_t *after)
{
    static const uint8_t zeros[BLOCK];
    struct places places = {0};
    for (size_t at = 0; at < PLACES * BLOCK; at += BLOCK) {
        bool was_zero = memcmp(before + at, zeros, BLOCK) == 0;
        places.n_kept += !was_zero && memcmp(before + at, after + at, BLOCK) == 0;
        places.n_zeroed += !was_zero && memcmp(after + at, zeros, BLOCK) == 0;
        places.n_random += is_random(after + at);
    }
    return places;
}

/* So that hardly a block is zeros before it is wiped. */
static void lay_noise(const struct disk *disk)
{
    uint8_t noise[BLOCK];
    autoclose int fd = open(disk->path, O_WRONLY | O_CLOEXEC);
    memset(noise, 0x5a, sizeof noise);
    for (size_t i = 0; i < PLACES; i++)
        assert_int_equal(pwrite(fd, noise, BLOCK, (off_t)place(i)), BLOCK);
    assert_int_equal(fsync(fd), 0);
}

/* ---- a wipe ---- */

static void lay_pool(const struct disk *disk)
{
    command_ok(MKFS, "-q", "-f", "-K", "-U", fsid, "-L", "storaged:whole", disk->path);
}

static void lay_stranger(const struct disk *disk)
{
    command_ok("mkfs.ext4", "-q", "-F", disk->path);
}

/* Before the first change it is what it was; from then on it says that it was being wiped, unless
 * something with a name is left on it. No byte is zeroed before all are random. */
static void check_half_wiped(struct node *node, const struct disk *disk, unsigned n,
                             Storage__V1__DiskState laid, const struct places *places)
{
    autoreply Storage__V1__Disk *left = disknode_probe(node, disk);
    bool is_told = strstr(left->reason, "a wipe of it was cut off") != NULL;
    bool is_begun = places->n_random + places->n_zeroed > 0;
    if (left->state != laid && left->state != STATE(BLANK) && !is_told)
        fail_msg("killed at step %u of a wipe, it leaves a disk that %s", n, left->reason);
    if (left->state == STATE(POOL_MEMBER) && is_begun)
        fail_msg("killed at step %u of a wipe, it leaves half a pool", n);
    if (places->n_zeroed > 0 && places->n_kept > 0)
        fail_msg("killed at step %u of a wipe, %u blocks are zeroed and %u as they were", n,
                 places->n_zeroed, places->n_kept);
}

static void wipe_is_cut(void (*lay)(const struct disk *disk), Storage__V1__DiskState laid,
                        verb_fn wipe_it, unsigned stride)
{
    bool was_random = false;
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = create_node((struct disk *const[]){disk, NULL});
    struct steps *steps = steps_watch(node, "diskd");
    disknode_start(node);
    unsigned n = 1;
    for (bool more = true; more && n < STEPS_MAX; n += stride) {
        char once[32], again[32];
        (void)snprintf(once, sizeof once, "wipe-%u", n);
        (void)snprintf(again, sizeof again, "wipe-again-%u", n);
        lay_noise(disk);
        lay(disk);
        autofree uint8_t *before = read_places(disk);
        assert_int_equal(state_of(node, disk), laid);
        more = cut(node, steps, n, wipe_it, disk, once);
        autofree uint8_t *after = read_places(disk);
        struct places places = compare_places(before, after);
        was_random = was_random || places.n_random == PLACES;
        check_half_wiped(node, disk, n, laid, &places);
        must_wipe(node, wipe_it, disk, once);
        must_wipe(node, wipe_it, disk, again);
    }
    steps_forget(steps);
    assert_true(was_random);
    assert_in_range(n, 30, STEPS_MAX - 1);
}

static void a_wipe_of_a_pool_is_cut_at_every_step(void)
{
    wipe_is_cut(lay_pool, STATE(POOL_MEMBER), wipe_pool, 1);
}

static void a_wipe_of_a_stranger_is_cut_before_every_change(void)
{
    wipe_is_cut(lay_stranger, STATE(FOREIGN), wipe_stranger, 2);
}

static void a_preparation_is_cut_at_every_step(void)
{
    struct disk *disk = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = create_node((struct disk *const[]){disk, NULL});
    struct steps *steps = steps_watch(node, "diskd");
    disknode_start(node);
    unsigned n = 1;
    for (bool more = true; more && n < STEPS_MAX; n++) {
        char once[32], again[32];
        (void)snprintf(once, sizeof once, "prepare-%u", n);
        (void)snprintf(again, sizeof again, "prepare-again-%u", n);
        more = cut(node, steps, n, prepare, disk, once);
        Storage__V1__DiskState left = state_of(node, disk);
        if (left != STATE(UNFINISHED) && left != STATE(BLANK))
            fail_msg("killed at step %u of a preparation, it leaves a disk in state %d", n, left);
        if (more)
            must_be_prepared(node, disk, once, true);
        must_be_prepared(node, disk, again, false);
        must_wipe(node, wipe_pool, disk, "");
    }
    steps_forget(steps);
    assert_int_equal(n, 5); /* before mkfs, while it runs, after it, and not at all */
}

/* ---- every change of mkfs ---- */

struct caller {
    pthread_t thread;
    struct storage *storage;
    struct disk *const *disks;
    struct err err;
    int rc;
};

static void *call(void *data)
{
    struct caller *caller = data;
    Storage__V1__PreparePolicy policy = STORAGE__V1__PREPARE_POLICY__INIT;
    autoreply Storage__V1__PrepareReply *reply = NULL;
    char *paths[MKFS_DISKS];
    for (size_t i = 0; i < MKFS_DISKS; i++)
        paths[i] = caller->disks[i]->path;
    policy.profile = STORAGE__V1__POOL_PROFILE__POOL_PROFILE_SINGLE;
    policy.disks = paths;
    policy.n_disks = MKFS_DISKS;
    caller->rc = storage_call(caller->storage, "storage.v1.DiskService/Prepare", &policy, &reply,
                              &caller->err);
    return NULL;
}

/* What is run as mkfs.btrfs loads mkfshalt.c, which reads where to stop from the file of its disk.
 */
static void replace_mkfs(const struct node *node)
{
    const char *dir = harness_dir();
    autofree char *real = path_format("%s/real", dir);
    autofree char *tell = path_format("%s/tell", node->run_dir);
    autofree char *script = path_format("%s/stand-in", dir);
    autofree char *text = path_format("#!/bin/sh\n"
                                      "for disk; do :; done\n"
                                      "export MKFSHALT_TELL=%s LD_PRELOAD=" MKFSHALT_PATH "\n"
                                      "read MKFSHALT_AT < %s/at-${disk##*/}\n"
                                      "export MKFSHALT_AT\n"
                                      "exec %s \"$@\"\n",
                                      tell, dir, real);
    command_ok("cp", "--dereference", MKFS, real);
    assert_int_equal(mkfifo(tell, 0600), 0);
    file_write(script, text, strlen(text));
    assert_int_equal(chmod(script, 0755), 0);
    assert_int_equal(mount(script, MKFS, NULL, MS_BIND, NULL), 0);
}

/* Until each mkfs stands still or has ended; how many stand still. */
static unsigned wait_for_halts(int tell)
{
    unsigned n_halted = 0;
    for (unsigned n = 0; n < MKFS_DISKS; n++) {
        struct pollfd wait = {.fd = tell, .events = POLLIN};
        char what;
        assert_int_equal(poll(&wait, 1, HARNESS_WAIT_MS), 1);
        assert_int_equal(read(tell, &what, 1), 1);
        n_halted += what == 'h';
    }
    return n_halted;
}

/* Each disk's mkfs stops one change later than the one before it; then diskd is killed, and they
 * with it. How many had to stop. */
static unsigned cut_mkfs(struct node *node, struct disk *const *disks, int tell, unsigned first)
{
    struct worker_info old = node_wait_worker(node, "diskd", 0);
    struct caller caller = {.storage = impatient(node), .disks = disks};
    for (unsigned i = 0; i < MKFS_DISKS; i++) {
        autofree char *path = path_format("%s/at-%s", harness_dir(), disk_name(disks[i]));
        autofree char *text = path_format("%u\n", first + i);
        file_write(path, text, strlen(text));
    }
    assert_int_equal(pthread_create(&caller.thread, NULL, call, &caller), 0);
    unsigned n_halted = wait_for_halts(tell);
    assert_int_equal(kill(old.pid, SIGKILL), 0);
    assert_int_equal(pthread_join(caller.thread, NULL), 0);
    storage_close(caller.storage);
    if (n_halted > 0)
        assert_refused(caller.rc, &caller.err, ERR_UNAVAILABLE, "");
    err_clear(&caller.err);
    (void)node_wait_worker(node, "diskd", old.epoch);
    disknode_wait_settled(node);
    return n_halted;
}

static void mkfs_is_cut_at_every_change(void)
{
    struct disk *disks[MKFS_DISKS + 1] = {0};
    for (size_t i = 0; i < MKFS_DISKS; i++)
        disks[i] = disk_create(DISK_BYTES, DISK_SSD);
    struct node *node = create_node(disks);
    disknode_start(node);
    unsigned first = 1, n_halted = MKFS_DISKS;
    for (; n_halted == MKFS_DISKS && first < STEPS_MAX; first += n_halted) {
        replace_mkfs(node);
        autofree char *path = path_format("%s/tell", node->run_dir);
        autoclose int tell = open(path, O_RDWR | O_CLOEXEC);
        assert_true(tell >= 0);
        n_halted = cut_mkfs(node, disks, tell, first);
        assert_int_equal(umount(MKFS), 0);
        (void)unlink(path);
        for (unsigned i = 0; i < MKFS_DISKS; i++) {
            Storage__V1__DiskState left = state_of(node, disks[i]);
            if (left != STATE(UNFINISHED) && left != STATE(BLANK))
                fail_msg("killed before change %u of mkfs, it leaves a disk in state %d", first + i,
                         left);
            must_be_prepared(node, disks[i], "", false);
            must_wipe(node, wipe_pool, disks[i], "");
        }
    }
    assert_in_range(first, 40, STEPS_MAX - 1);
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(a_wipe_of_a_pool_is_cut_at_every_step),
        harness_case(a_wipe_of_a_stranger_is_cut_before_every_change),
        harness_case(a_preparation_is_cut_at_every_step),
        harness_case(mkfs_is_cut_at_every_change),
    };
    uuid_random(fsid);
    return steps_main(argc, argv, "disk steps", cases, array_length(cases));
}
