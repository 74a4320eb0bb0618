/*
 * Who holds a space: every kind of holder is found and named, in another mount namespace too, and
 * nobody else is. Real processes on real btrfs.
 */
#include "volume_fixture.h"
#include "want.h"

#include "btrfs.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#define LABEL VOLUME_LABEL_NEW "alpha"

enum { CROWD = 200, MANY = HOLDERS_LISTED_MAX + 8 };

/* ---- processes that hold something ---------------------------------------------------------- */

typedef bool (*hold_fn)(const char *path);

/* A child that holds what `hold` takes of the path, until it is killed. */
static pid_t holder_start(hold_fn hold, const char *path)
{
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (!hold(path) || write(ready[1], "+", 1) != 1)
            _exit(1);
        for (;;)
            (void)pause();
    }
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    return pid;
}

static void holder_end(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static bool hold_nothing(const char *path)
{
    (void)path;
    return true;
}

static bool hold_directory(const char *path)
{
    return chdir(path) == 0;
}

static bool hold_root(const char *path)
{
    return chroot(path) == 0; /* its working directory stays outside */
}

static int held_fd; /* open until the process ends */

static bool hold_file(const char *path)
{
    if (chdir(path) < 0)
        return false;
    held_fd = open("held", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return held_fd >= 0 && chdir("/") == 0;
}

static bool hold_mapping(const char *path)
{
    int fd = -1;
    if (chdir(path) == 0)
        fd = open("mapped", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, 4096) < 0 || chdir("/") < 0)
        return false;
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return at != MAP_FAILED && close(fd) == 0;
}

static bool hold_nested(const char *path)
{
    autoclose int data = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (data < 0 || btrfs_create_subvolume(data, "nested", 0) < 0)
        return false;
    held_fd = openat(data, "nested/held", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return held_fd >= 0;
}

/* As a container has it: bound in a namespace of its own, where the pool is not to be seen. */
static bool hold_mount(const char *path)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount(path, "/mnt", NULL, MS_BIND, NULL) == 0;
}

struct thread_hold {
    const char *path;
    bool held;
    sem_t done;
};

_Noreturn static void *mount_and_stay(void *data)
{
    struct thread_hold *hold = data;
    hold->held = hold_mount(hold->path);
    (void)sem_post(&hold->done);
    for (;;)
        (void)pause();
}

/* As a runtime does that prepares a container: one of its threads alone is in the namespace. */
static bool hold_thread_mount(const char *path)
{
    static struct thread_hold hold;
    pthread_t thread;
    hold.path = path;
    return sem_init(&hold.done, 0, 0) == 0 &&
           pthread_create(&thread, NULL, mount_and_stay, &hold) == 0 && sem_wait(&hold.done) == 0 &&
           hold.held;
}

static bool hold_inner_mount(const char *path)
{
    char inner[PATH_MAX];
    (void)snprintf(inner, sizeof inner, "%s/deep", path);
    return mkdir(inner, 0755) == 0 && hold_mount(inner);
}

/* ---- the tests ------------------------------------------------------------------------------ */

/* Who holds the space; holders_clear() after. */
static struct holders look(const struct volume *volume, const char *id)
{
    autoerr struct err err = {0};
    struct volume_claim claim = {.id = id};
    assert_ok(volume_find_holders(volume, &claim, 1, &err), &err);
    return claim.holders;
}

static void must_be_free(const struct volume *volume, const char *id)
{
    struct holders holders = look(volume, id);
    if (holders.count > 0)
        fail_msg("held by %s", holders.n_listed ? holders.listed[0] : "?");
    holders_clear(&holders);
}

static void every_kind_of_holder_is_named(void)
{
    static const struct {
        hold_fn hold;
        const char *words; /* behind "pid <n> (sandbox-init): ", or in front of it */
        bool is_mount;
    } kinds[] = {
        {hold_directory, "working directory", false},
        {hold_root, "root directory", false},
        {hold_file, "an open file", false},
        {hold_mapping, "a mapped file", false},
        {hold_nested, "an open file", false},
        {hold_mount, "/mnt", true},
        {hold_thread_mount, "/mnt", true},
        {hold_inner_mount, "/mnt", true},
    };
    struct pool pool;
    pool_make(&pool, LABEL);
    struct volume *volume = pool_open(&pool);
    for (size_t i = 0; i < array_length(kinds); i++) {
        struct record record = space_make(volume, 64 * MiB), other = space_make(volume, 64 * MiB);
        autofree char *path = space_path(volume, &record, "");
        must_be_free(volume, record.id);
        pid_t pid = holder_start(kinds[i].hold, path);
        struct holders holders = look(volume, record.id);
        autofree char *words =
            path_format("%spid %d (sandbox-init): %s",
                        kinds[i].is_mount ? "mount namespace of " : "", pid, kinds[i].words);
        assert_int_equal(holders.count, 1);
        assert_string_equal(holders.listed[0], words);
        holders_clear(&holders);
        must_be_free(volume, other.id);
        holder_end(pid);
        must_be_free(volume, record.id);
        space_release(volume, record.id);
        space_release(volume, other.id);
    }
    pool_close(volume);
}

static void what_is_dying_is_still_held(void)
{
    struct pool pool;
    pool_make(&pool, LABEL);
    struct volume *volume = pool_open(&pool);
    struct record record = space_make(volume, 64 * MiB);
    autoerr struct err err = {0};
    autofree char *path = space_path(volume, &record, "");
    autofree char *from = path_format("%s/spaces/%s", volume_info(volume)->path, record.id);
    autofree char *to = path_format("%s/weak/%s", volume_info(volume)->path, record.id);
    pid_t pid = holder_start(hold_mount, path);
    assert_ok(volume_mark_dying(volume, record.id, &err), &err);
    assert_int_equal(rename(from, to), 0);
    struct holders holders = look(volume, record.id);
    assert_int_equal(holders.count, 1);
    assert_refused(holders_refuse(&holders, record.id, &err), &err, ERR_FAILED_PRECONDITION,
                   "/mnt");
    holders_clear(&holders);
    holder_end(pid);
    volume_tidy(volume);
    volume_must_hold(volume, 0);
    pool_close(volume);
}

static void a_mount_in_our_namespace_holds(void)
{
    struct pool pool;
    pool_make(&pool, LABEL);
    struct volume *volume = pool_open(&pool);
    struct record record = space_make(volume, 64 * MiB);
    autofree char *path = space_path(volume, &record, "");
    assert_int_equal(mount(path, "/mnt", NULL, MS_BIND, NULL), 0);
    struct holders holders = look(volume, record.id);
    assert_int_equal(umount("/mnt"), 0);
    assert_int_equal(holders.count, 1);
    assert_string_equal(holders.listed[0], "mounted at /mnt");
    holders_clear(&holders);
    must_be_free(volume, record.id);
    pool_close(volume);
}

static void the_kernel_holds_too(void)
{
    struct pool pool;
    pool_make(&pool, LABEL);
    struct volume *volume = pool_open(&pool);
    struct record record = space_make(volume, 64 * MiB);
    autofree char *file = space_path(volume, &record, "a file");
    command_ok("truncate", "-s", "0", file);
    command_ok("chattr", "+C", file);
    command_ok("fallocate", "-l", "8M", file);
    struct command attach = {.argv = {"losetup", "-f", "--show", file}};
    struct command_result result = command_run(&attach);
    assert_int_equal(result.status, 0);
    struct holders holders = look(volume, record.id);
    result.out[strcspn(result.out, "\n")] = '\0';
    command_ok("losetup", "-d", result.out);
    assert_int_equal(holders.count, 1);
    assert_non_null(strstr(holders.listed[0], "backed by"));
    holders_clear(&holders);
    command_ok("mkswap", "-q", file);
    if (swapon(file, 0) == 0) {
        holders = look(volume, record.id);
        assert_int_equal(swapoff(file), 0);
        assert_int_equal(holders.count, 1);
        assert_non_null(strstr(holders.listed[0], "swap file"));
        holders_clear(&holders);
    } else {
        (void)fprintf(stderr, "no swap here: swap files are not tested\n");
    }
    must_be_free(volume, record.id);
    pool_close(volume);
}

/* A walk that could not see all of /proc may have missed the one who matters. */
static void who_cannot_be_looked_for_is_not_taken_for_nobody(void)
{
    static const hold_fn kinds[] = {hold_directory, hold_file, hold_mapping, hold_mount};
    struct pool pool;
    pool_make(&pool, LABEL);
    struct volume *volume = pool_open(&pool);
    for (size_t i = 0; i < array_length(kinds); i++) {
        struct record record = space_make(volume, 64 * MiB);
        autofree char *path = space_path(volume, &record, "");
        pid_t pid = holder_start(kinds[i], path);
        bool whole = false;
        for (long at = 1; !whole; at++) {
            autoerr struct err err = {0};
            struct volume_claim claim = {.id = record.id};
            want_begin(at);
            int rc = volume_find_holders(volume, &claim, 1, &err);
            whole = !want_end();
            if (rc == 0 && claim.rc == 0 && claim.holders.count == 0)
                fail_msg("holder %zu was not seen after call %ld had failed", i, at);
            holders_clear(&claim.holders);
        }
        holder_end(pid);
        space_release(volume, record.id);
    }
    pool_close(volume);
}

/* Somebody's broken space is no reason to keep another's. */
static void one_that_cannot_be_told_of_spoils_no_other(void)
{
    struct pool pool;
    pool_make(&pool, LABEL);
    struct volume *volume = pool_open(&pool);
    struct record records[] = {space_make(volume, 64 * MiB), space_make(volume, 64 * MiB),
                               space_make(volume, 64 * MiB)};
    autofree char *data = space_path(volume, &records[0], "");
    data[strlen(data) - 1] = '\0';
    autofree char *aside = path_format("%s-aside", data);
    assert_int_equal(rename(data, aside), 0);
    file_write(data, "x", 1);
    autofree char *held = space_path(volume, &records[1], "");
    pid_t pid = holder_start(hold_directory, held);
    autoerr struct err err = {0}, why = {0};
    struct volume_claim claims[] = {
        {.id = records[0].id, .err = &why}, {.id = records[1].id}, {.id = records[2].id}};
    assert_ok(volume_find_holders(volume, claims, array_length(claims), &err), &err);
    assert_refused(claims[0].rc, &why, why.code, "cannot tell who holds it");
    assert_int_equal(claims[1].rc, 0);
    assert_int_equal(claims[1].holders.count, 1);
    assert_int_equal(claims[2].rc, 0);
    assert_int_equal(claims[2].holders.count, 0);
    for (size_t i = 0; i < array_length(claims); i++)
        holders_clear(&claims[i].holders);
    holder_end(pid);
    pool_close(volume);
}

static void all_are_counted_and_some_are_listed(void)
{
    struct pool pool;
    pid_t pids[MANY];
    pool_make(&pool, LABEL);
    struct volume *volume = pool_open(&pool);
    struct record record = space_make(volume, 64 * MiB);
    autoerr struct err err = {0};
    autofree char *path = space_path(volume, &record, "");
    for (size_t i = 0; i < MANY; i++)
        pids[i] = holder_start(hold_directory, path);
    struct holders holders = look(volume, record.id);
    assert_int_equal(holders.count, MANY);
    assert_int_equal(holders.n_listed, HOLDERS_LISTED_MAX);
    assert_refused(holders_refuse(&holders, record.id, &err), &err, ERR_FAILED_PRECONDITION,
                   "and 8 more");
    holders_clear(&holders);
    for (size_t i = 0; i < MANY; i++)
        holder_end(pids[i]);
    pool_close(volume);
}

static void a_crowd_is_walked_once_for_many_claims(void)
{
    struct pool pool;
    pid_t pids[CROWD];
    struct record records[8];
    struct volume_claim claims[8] = {0};
    pool_make(&pool, LABEL);
    struct volume *volume = pool_open(&pool);
    autoerr struct err err = {0};
    for (size_t i = 0; i < array_length(records); i++) {
        records[i] = space_make(volume, 16 * MiB);
        claims[i].id = records[i].id;
    }
    autofree char *path = space_path(volume, &records[5], "");
    pid_t pid = holder_start(hold_directory, path);
    for (size_t i = 0; i < CROWD; i++)
        pids[i] = holder_start(hold_nothing, path);
    uint64_t start_ms = clock_monotonic_ms();
    assert_ok(volume_find_holders(volume, claims, array_length(claims), &err), &err);
    (void)fprintf(stderr, "a walk over %d processes takes %llu ms\n", CROWD,
                  (unsigned long long)(clock_monotonic_ms() - start_ms));
    for (size_t i = 0; i < array_length(claims); i++) {
        assert_int_equal(claims[i].holders.count, i == 5 ? 1 : 0);
        holders_clear(&claims[i].holders);
    }
    holder_end(pid);
    for (size_t i = 0; i < CROWD; i++)
        holder_end(pids[i]);
    pool_close(volume);
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(every_kind_of_holder_is_named),
        harness_case(what_is_dying_is_still_held),
        harness_case(a_mount_in_our_namespace_holds),
        harness_case(the_kernel_holds_too),
        harness_case(who_cannot_be_looked_for_is_not_taken_for_nobody),
        harness_case(one_that_cannot_be_told_of_spoils_no_other),
        harness_case(all_are_counted_and_some_are_listed),
        harness_case(a_crowd_is_walked_once_for_many_claims),
    };
    return harness_main(argc, argv, "volume_holders", cases, array_length(cases));
}
