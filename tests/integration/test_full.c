/* Full pools: what is full can be released, and what is left is not sold twice. */
#include "poolnode.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define DISK_SIZE (1536 * MiB)
#define MORE      (128 * MiB) /* of about 240 MiB */

/* --- full of what no quota group limits ------------------------------------------------------ */

enum full { FULL_OF_DATA, FULL_OF_METADATA, FULL_OF_BOTH };

enum { FILLERS_MAX = 4096 };

/* Allocates ever smaller files until there is no room for a block. */
static unsigned fill_data(int dir)
{
    unsigned made = 0;
    for (off_t size = 16 << 20; size >= 4096 && made < FILLERS_MAX; size /= 16) {
        for (int rc = 0; rc == 0 && made < FILLERS_MAX; made++) {
            char name[32];
            (void)snprintf(name, sizeof name, "data-%u", made);
            autoclose int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
            rc = fd < 0 ? -1 : fallocate(fd, 0, 0, size);
        }
    }
    return made;
}

/* Attributes of ever smaller files, until the kernel refuses an empty one. */
static void fill_metadata(int dir)
{
    static const char value[3000];
    static unsigned made;
    for (size_t size = sizeof value; size > 0; size /= 8) {
        for (bool room = true; room; made++) {
            char name[32];
            (void)snprintf(name, sizeof name, "meta-%u", made);
            autoclose int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
            room = fd >= 0 && fsetxattr(fd, "user.x", value, size, 0) == 0;
        }
    }
}

/* The fillers lie outside of all spaces, where nothing but the disk ends them. What is full of
 * metadata alone has room in each of its chunks of data, so that none of them can be given back. */
static void fill_up(const char *folder, enum full full)
{
    assert_int_equal(mkdir(folder, 0700), 0);
    autoclose int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    unsigned made = fill_data(dir);
    if (full == FULL_OF_DATA)
        return;
    fill_metadata(dir);
    for (unsigned i = 0; full == FULL_OF_METADATA && i < made; i += 2) {
        char name[32];
        (void)snprintf(name, sizeof name, "data-%u", i);
        (void)unlinkat(dir, name, 0);
    }
    fill_metadata(dir);
}

static void refuses_to_reserve(struct node *node, const char *name, const char *text)
{
    autoerr struct err err = {0};
    Storage__V1__Space *none = NULL;
    int rc = call_reserve(node->storage, name, SSD, MORE, &none, &err);
    assert_refused(rc, &err, ERR_RESOURCE_EXHAUSTED, text);
}

static void is_full_of(enum full full)
{
    struct node *node = poolnode_start(disk_create(DISK_SIZE, DISK_SSD));
    autoreply Storage__V1__Space *victim = must_reserve(node, "victim", SSD, 64 * MiB);
    autoreply Storage__V1__Space *other = must_reserve(node, "other", SSD, 64 * MiB);
    uint64_t booked = poolnode_capacity(node).booked;
    autofree char *filler = poolnode_path(node, victim->pool, "filler");
    int refusal;
    assert_int_equal(file_fill(victim->path, "file", 32 * MiB, &refusal), 32 * MiB);
    fill_up(filler, full);

    /* Whether poold knows already that there is no room, or only finds out. */
    if (full != FULL_OF_DATA)
        refuses_to_reserve(node, "before", "bytes for metadata");
    poolnode_kill_poold(node);
    if (full != FULL_OF_METADATA)
        refuses_to_reserve(
            node, "after",
            "134217728 bytes do not fit on an SSD pool; the largest possible now is ");
    if (full != FULL_OF_METADATA) {
        (void)file_fill(other->path, "file", 64 * MiB, &refusal);
        assert_int_equal(refusal, ENOSPC);
    }
    node_mark(node);
    must_release(node, victim->id);
    (void)watch_wait(node->watch, "space.reaped", victim->id);
    poolnode_wait(node, victim->pool, POOL_STATE(MOUNTED), NULL);
    assert_int_equal(file_fill(other->path, "resumed", 8 * MiB, &refusal), 8 * MiB);

    command_ok("rm", "-r", filler);
    poolnode_kill_poold(node);
    poolnode_wait_reaped(node);
    assert_int_equal(poolnode_capacity(node).booked, booked - 64 * MiB);
    poolnode_must_hold(node, victim->pool, 1);
    autoreply Storage__V1__Space *next = must_reserve(node, "next", SSD, MORE);
    assert_int_equal(file_fill(next->path, "file", 64 * MiB, &refusal), 64 * MiB);
}

static void full_of_data_it_releases(void)
{
    is_full_of(FULL_OF_DATA);
}

static void full_of_metadata_it_releases(void)
{
    is_full_of(FULL_OF_METADATA);
}

static void full_of_both_it_releases(void)
{
    is_full_of(FULL_OF_BOTH);
}

static void full_of_both_it_unbooks(void)
{
    static const char id[] = "0f8fad5b-d9cb-469f-a165-70867728950e";
    static const char other[] = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
    struct node *node = poolnode_start(disk_create(DISK_SIZE, DISK_SSD));
    autoerr struct err err = {0};
    autoreply Storage__V1__Booking *booking = NULL, *none = NULL;
    assert_ok(call_book(node->storage, id, "", 32 * MiB, &booking, &err), &err);
    uint64_t booked = poolnode_capacity(node).booked;
    autofree char *filler = poolnode_path(node, booking->pool, "filler");
    fill_up(filler, FULL_OF_BOTH);
    assert_refused(call_book(node->storage, other, "", 8 * MiB, &none, &err), &err,
                   ERR_RESOURCE_EXHAUSTED, "bytes for metadata");
    err_clear(&err);
    assert_ok(call_unbook(node->storage, id, NULL, &err), &err);
    poolnode_wait(node, booking->pool, POOL_STATE(MOUNTED), NULL);
    assert_int_equal(poolnode_capacity(node).booked, booked - 32 * MiB);
    command_ok("rm", "-r", filler);
    poolnode_kill_poold(node);
    node_wait_cache(node, true);
    assert_refused(call_get_booking(node->storage, id, &none, &err), &err, ERR_NOT_FOUND, "");
    assert_int_equal(poolnode_capacity(node).booked, booked - 32 * MiB);
    poolnode_must_balance(node);
}

/* By its books it has more room than the other. */
static void one_that_is_full_of_metadata_is_passed_over(void)
{
    struct two_pools two = poolnode_start_two(DISK_SIZE);
    autofree char *filler = poolnode_path(two.node, two.fsid[1], "filler");
    fill_up(filler, FULL_OF_METADATA);
    autoreply Storage__V1__Space *space = must_reserve(two.node, "placed", SSD, 64 * MiB);
    assert_string_equal(space->pool, two.fsid[0]);
    /* It was tried once. */
    autoreply Storage__V1__Space *next = must_reserve(two.node, "next", SSD, 64 * MiB);
    assert_string_equal(next->pool, two.fsid[0]);
    assert_int_equal(node_log_count(two.node, "a space could not be built"), 1);
    autoreply Storage__V1__SpaceListReply *list = NULL;
    autoerr struct err err = {0};
    assert_ok(call_spaces(two.node->storage, &list, &err), &err);
    assert_int_equal(list->n_spaces, 2);
    poolnode_wait_reaped(two.node);
    poolnode_must_hold(two.node, two.fsid[0], 2);
}

/* --- a full cache ---------------------------------------------------------------------------- */

/* Small files, which are metadata alone and take twice their room on the disk. */
static int fill_with_small_files(const char *folder)
{
    static const char text[1900];
    autoclose int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0;; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "small-%u", i);
        autoclose int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, text, sizeof text) < 0)
            return errno;
    }
}

static void a_full_cache_starves_nobody(void)
{
    struct node *node = poolnode_start(disk_create(DISK_SIZE, DISK_SSD));
    autoreply Storage__V1__Space *before = must_reserve(node, "before", SSD, 32 * MiB);
    int refusal;
    assert_int_equal(fill_with_small_files(node->cache_path), EDQUOT);
    (void)file_fill(node->cache_path, "big", GiB, &refusal);
    assert_int_equal(refusal, EDQUOT);
    uint64_t largest = poolnode_capacity(node).largest;
    autoreply Storage__V1__Space *all = must_reserve(node, "all", SSD, largest);
    (void)file_fill(all->path, "file", GiB, &refusal);
    assert_int_equal(refusal, EDQUOT); /* and not ENOSPC */
    (void)file_fill(before->path, "file", GiB, &refusal);
    assert_int_equal(refusal, EDQUOT);
    must_release(node, all->id);
    poolnode_wait_reaped(node);
    autoreply Storage__V1__Space *again = must_reserve(node, "again", SSD, largest);
    (void)file_fill(again->path, "file", GiB, &refusal);
    assert_int_equal(refusal, EDQUOT);
}

/* --- the last bytes -------------------------------------------------------------------------- */

enum { RACERS = 2, ROUNDS = 12 };

struct racer {
    pthread_t thread;
    pthread_barrier_t *start;
    struct storage *storage;
    char name[32];
    uint64_t size_bytes;
    Storage__V1__Space *space;
    struct err err;
};

static void *race(void *data)
{
    struct racer *racer = data;
    (void)pthread_barrier_wait(racer->start);
    (void)call_reserve(racer->storage, racer->name, SSD, racer->size_bytes, &racer->space,
                       &racer->err);
    return NULL;
}

/* One gets all that is left, and the other one hears how little there is. */
static void run_race(struct node *node, struct racer *racers, unsigned round)
{
    pthread_barrier_t start;
    unsigned won = 0;
    char *winner = NULL;
    uint64_t largest = poolnode_capacity(node).largest;
    assert_int_equal(pthread_barrier_init(&start, NULL, RACERS), 0);
    for (unsigned i = 0; i < RACERS; i++) {
        racers[i].start = &start;
        racers[i].size_bytes = largest - i * round * 4096;
        (void)snprintf(racers[i].name, sizeof racers[i].name, "racer-%u-%u", round, i);
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (unsigned i = 0; i < RACERS; i++)
        assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
    (void)pthread_barrier_destroy(&start);
    for (unsigned i = 0; i < RACERS; i++) {
        if (racers[i].space) {
            won++;
            winner = path_format("%s", racers[i].space->id);
            storage_free(take_ptr(racers[i].space));
        } else {
            assert_refused(-(int)racers[i].err.code, &racers[i].err, ERR_RESOURCE_EXHAUSTED,
                           "the largest possible now is");
        }
        err_clear(&racers[i].err);
    }
    assert_int_equal(won, 1);
    Storage__V1__PoolCapacity capacity = poolnode_capacity(node);
    assert_true(capacity.booked <= capacity.usable);
    must_release(node, winner);
    free(winner);
    poolnode_wait_reaped(node);
}

static void of_two_who_want_the_last_bytes_one_gets_them(void)
{
    struct node *node = poolnode_start(disk_create(DISK_SIZE, DISK_SSD));
    struct racer racers[RACERS] = {0};
    for (unsigned i = 0; i < RACERS; i++)
        racers[i].storage = node_client(node);
    for (unsigned round = 0; round < ROUNDS; round++)
        run_race(node, racers, round);
    for (unsigned i = 0; i < RACERS; i++)
        storage_close(racers[i].storage);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(full_of_data_it_releases),
        harness_case(full_of_metadata_it_releases),
        harness_case(full_of_both_it_releases),
        harness_case(full_of_both_it_unbooks),
        harness_case(one_that_is_full_of_metadata_is_passed_over),
        harness_case(a_full_cache_starves_nobody),
        harness_case(of_two_who_want_the_last_bytes_one_gets_them),
    };
    return harness_main(argc, argv, "full", cases, array_length(cases));
}
