/*
 * The harness of the integration tests: real disks, real nodes, and nothing left afterwards.
 *
 * A test program calls harness_main(), which runs its tests in a sandbox: fresh pid and mount
 * namespaces with a tmpfs of their own, so that when the program ends in any way - also by a crash
 * or by ctest's timeout - every process in it is killed and every mount is gone. Disks, nodes and
 * commands belong to the running test: its teardown ends and removes them, whether it passed or
 * not. Whatever outlives that fails the test. Functions without an `err` fail the test by
 * themselves.
 *
 * One thread, but for those that a test makes; helpers are for the main thread.
 */
#ifndef TESTS_INTEGRATION_HARNESS_H
#define TESTS_INTEGRATION_HARNESS_H

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "storage.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

enum {
    HARNESS_WAIT_MS = 40000, /* the deadline of every wait: a slow machine under ASan passes */
    HARNESS_SKIP = 77,       /* exit code: this machine cannot run it */
    HARNESS_PATH_MAX = 256,
    HARNESS_GID = 54321, /* the group HARNESS_GROUP, which only the sandbox knows */
};
#define HARNESS_GROUP "storaged-test"
#define MiB           (UINT64_C(1) << 20)
#define GiB           (UINT64_C(1) << 30)

/* --- the sandbox ----------------------------------------------------------------------------- */

typedef void (*harness_fn)(void);

struct harness_case {
    const char *name;
    harness_fn run;
};
#define harness_case(function)                                                                     \
    {                                                                                              \
#function, function                                                                        \
    }

/*
 * Runs the cases as one cmocka group; the result is main's. An argument filters them by cmocka's
 * pattern ("boots_*"). Exits with HARNESS_SKIP and a printed reason where the machine lacks what
 * every test here needs (root, loop devices, btrfs).
 */
int harness_main(int argc, char **argv, const char *group, const struct harness_case *cases,
                 size_t n_cases);

/* The running test's directory, empty at its start; on a tmpfs. */
const char *harness_dir(void);

/* Skips the running test, with the reason on stderr. */
_Noreturn void harness_skip(const char *reason, ...) __attribute__((format(printf, 1, 2)));

/* Fails the running test when rc is not 0, printing all of the error. */
#define assert_ok(rc, err) harness_assert_ok((rc), (err), __FILE__, __LINE__)
void harness_assert_ok(int rc, const struct err *err, const char *file, int line);
/* Fails the running test unless `rc` is -code and the message, hint or a blocker holds `text`. */
#define assert_refused(rc, err, code, text)                                                        \
    harness_assert_refused((rc), (err), (code), (text), __FILE__, __LINE__)
void harness_assert_refused(int rc, const struct err *err, enum err_code code, const char *text,
                            const char *file, int line);

/* Files under a test's directory, and elsewhere. */
void file_write(const char *path, const void *data, size_t size);
/* All of a file, terminated; freed by the caller. *out_size may be NULL. */
char *file_read(const char *path, size_t *out_size);
/* The same of a file that may be gone: NULL then. */
char *file_try_read(const char *path, size_t *out_size);
char *path_format(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* caller frees */

/* --- disks ----------------------------------------------------------------------------------- */

enum disk_kind { DISK_SSD, DISK_HDD, DISK_ZRAM };

struct disk {
    enum disk_kind kind;
    char path[32];               /* "/dev/loop71234": nobody else uses this number */
    char file[HARNESS_PATH_MAX]; /* backing file; empty for zram */
    uint64_t size_bytes;
    unsigned number;
    int fd; /* held open: the loop is detached by itself at its last close */
    struct disk *next;
};

/* A disk that is there, blank and sparse. */
struct disk *disk_create(uint64_t size_bytes, enum disk_kind kind);
/* A disk whose name is known, and which is not plugged in yet; not zram, whose number the kernel
 * gives. */
struct disk *disk_reserve(uint64_t size_bytes, enum disk_kind kind);
/* Plugs it in, with what it held when it was unplugged. Always presents itself as SSD at first: the
 * kernel announces a loop before its flag can be set. */
void disk_plug(struct disk *disk);
/* The kernel removes the device, node and all. It must not be mounted. */
void disk_unplug(struct disk *disk);
/* Writes an uevent as if the kernel had seen it: "remove", "change". */
void disk_uevent(const struct disk *disk, const char *action);
/* A checksum over every byte of the backing file. */
uint32_t disk_checksum(const struct disk *disk);

/* --- commands -------------------------------------------------------------------------------- */

enum { COMMAND_ARGS_MAX = 48 };

struct command {
    const char *argv[COMMAND_ARGS_MAX + 1];
    uid_t uid; /* who runs it; 0: root */
    gid_t gid;
    const char *run_dir; /* its $STORAGED_RUN_DIR */
};

struct command_result {
    int status; /* exit code; 128 + signal when killed */
    char *out;  /* stdout, terminated; freed at the end of the test */
    char *err;  /* stderr */
};

/* argv[0] without a slash is one of our programs if there is one of that name, else found in PATH.
 */
pid_t command_spawn(const struct command *command, int out_fd, int err_fd);
struct command_result command_run(const struct command *command);
/* Runs a program as root and fails the test when it fails: command_ok("mkfs.ext4", "-q", path) */
#define command_ok(...) command_must_pass((const char *const[]){__VA_ARGS__, NULL})
void command_must_pass(const char *const *argv);

/* True for jq's filter over a JSON text. */
bool json_holds(const char *json, const char *filter);

/* Waits for a child of ours; its exit code, or 128 + signal. */
int child_wait(pid_t pid);
/* Waits until any process is gone, reaped or not ours. */
void process_wait_gone(pid_t pid);

/* --- nodes ----------------------------------------------------------------------------------- */

struct watch;

struct node {
    char *dir;
    char *run_dir;
    char *mount_root;
    char *cache_path;
    char *config;
    char *log;               /* stderr of storaged and its workers, all its lives */
    char *allow;             /* space-separated device paths; the node opens no other */
    char *extra;             /* "section.key=value" lines */
    pid_t pid;               /* of storaged; 0 when none runs */
    struct storage *storage; /* for the main thread; opened by node_start() */
    struct watch *watch;
    struct node *next;
};

/* A node that may use the given disks (NULL-terminated list of struct disk *), not started. */
#define node_create(...) node_create_list((struct disk *const[]){__VA_ARGS__, NULL})
struct node *node_create_list(struct disk *const *disks);
/* Another disk that it may use; before node_start(). */
void node_allow(struct node *node, const struct disk *disk);
/* A config key, "section.key"; before node_start(). The harness gives paths, allow list and group.
 */
void node_set(struct node *node, const char *key, const char *value);

/* Starts storaged and waits until its workers answer, diskd has settled and the watch follows. */
void node_start(struct node *node);
/* Only events from now on count for watch_wait(): waits until the watch has heard of all that diskd
 * and poold have told, and forgets it. */
void node_mark(struct node *node);
/* Only spawns it; only waits until it answers on its control socket, whatever its workers do. */
void node_spawn(struct node *node);
void node_connect(struct node *node);
/* SIGTERM: mounts stay. Waits for the end, which must be a clean one. */
void node_stop(struct node *node);
/* `shutdown` on the control socket: all is unmounted. The error is the control socket's. */
int node_shutdown(struct node *node, struct err *err);
/* SIGKILL to storaged, and waits until its workers are gone as well. */
void node_kill(struct node *node);

/* A client handle of its own, for a thread; wait is on. */
struct storage *node_client(const struct node *node);

struct worker_info {
    pid_t pid;
    uint64_t epoch;
    uint32_t restarts;
    Storage__V1__WorkerState state;
    char exit_reason[128];
};
struct worker_info node_worker(struct node *node, const char *name);
/* Waits until the worker is READY with an epoch other than `old_epoch` (0: any). */
struct worker_info node_wait_worker(struct node *node, const char *name, uint64_t old_epoch);

/* Runs storagectl against the node. */
#define node_ctl(node, ...) node_ctl_list((node), (const char *const[]){__VA_ARGS__, NULL})
struct command_result node_ctl_list(const struct node *node, const char *const *args);

/* How often `text` stands in the node's log. */
unsigned node_log_count(const struct node *node, const char *text);

/* --- waiting --------------------------------------------------------------------------------- */

/*
 * Every node has a watch from its start on: a process that follows all events of all workers, over
 * their restarts. A resync is an event with topic "resync".
 */
struct watch *watch_start(const struct node *node);
void watch_stop(struct watch *watch);
/* Stops and continues the process, so that it reads nothing in between. */
void watch_pause(struct watch *watch);
void watch_resume(struct watch *watch);
/* Reads what has come, waiting for at least one event, tick or resync; false at the deadline. */
bool watch_fill(struct watch *watch, uint64_t deadline_ms);
/* All that was read so far, but for ticks. */
size_t watch_count(const struct watch *watch);
const Storage__V1__Event *watch_at(const struct watch *watch, size_t index);
/* It has heard of all that the worker told up to this event, or it is in step since then. */
bool watch_has(const struct watch *watch, const char *worker, uint64_t epoch, uint64_t seq);
/* The first event since the mark with this topic, and object unless NULL. Fails the test at the
 * deadline. */
const Storage__V1__Event *watch_wait(struct watch *watch, const char *topic, const char *object);

/* Waits until the condition holds: looked at now and after each event, resync and tick. Fails the
 * test, with `what`, at the deadline. */
typedef bool (*node_condition)(struct node *node, void *data);
void node_wait(struct node *node, node_condition holds, void *data, const char *what);

/* The state of the only pool, of the cache, of a disk. */
void node_wait_pools(struct node *node, size_t n_mounted);
void node_wait_cache(struct node *node, bool mounted);
void node_wait_disk(struct node *node, const struct disk *disk, Storage__V1__DiskState state);
void node_wait_no_disk(struct node *node, const struct disk *disk);

/* --- calls: 0 and *out_… (storage_free()), or the error --------------------------------------- */

int call_reserve(struct storage *storage, const char *name, Storage__V1__DiskType type,
                 uint64_t size_bytes, Storage__V1__Space **out_space, struct err *err);
int call_release(struct storage *storage, const char *id, bool *out_existed, struct err *err);
int call_get(struct storage *storage, const char *id, Storage__V1__Space **out_space,
             struct err *err);
int call_spaces(struct storage *storage, Storage__V1__SpaceListReply **out_list, struct err *err);
int call_pools(struct storage *storage, Storage__V1__ListPoolsReply **out_list, struct err *err);
int call_capacity(struct storage *storage, Storage__V1__DiskType type,
                  Storage__V1__CapacityReply **out_capacity, struct err *err);
int call_cache(struct storage *storage, Storage__V1__CacheInfo **out_cache, struct err *err);
int call_disks(struct storage *storage, Storage__V1__DiskListReply **out_list, struct err *err);
int call_disk(struct storage *storage, const char *id, Storage__V1__Disk **out_disk,
              struct err *err);
int call_prepare(struct storage *storage, const char *disk, Storage__V1__PrepareReply **out_reply,
                 struct err *err);
int call_book(struct storage *storage, const char *id, const char *pool, uint64_t size_bytes,
              Storage__V1__Booking **out_booking, struct err *err);
int call_settle(struct storage *storage, const char *id, Storage__V1__Booking **out_booking,
                struct err *err);
int call_resize_booking(struct storage *storage, const char *id, uint64_t size_bytes,
                        Storage__V1__Booking **out_booking, struct err *err);
int call_unbook(struct storage *storage, const char *id, bool *out_existed, struct err *err);
int call_get_booking(struct storage *storage, const char *id, Storage__V1__Booking **out_booking,
                     struct err *err);
int call_bookings(struct storage *storage, Storage__V1__ListBookingsReply **out_list,
                  struct err *err);
int call_workers(struct storage *storage, Storage__V1__ControlReply **out_reply, struct err *err);

/* As above, and fail the test. */
Storage__V1__Space *must_reserve(struct node *node, const char *name, Storage__V1__DiskType type,
                                 uint64_t size_bytes);
void must_release(struct node *node, const char *id);
Storage__V1__Booking *must_book(struct node *node, const char *id, const char *pool,
                                uint64_t size_bytes);
void must_unbook(struct node *node, const char *id);

static inline void cleanup_reply(void *reply)
{
    storage_free(*(void **)reply);
}
#define autoreply __attribute__((cleanup(cleanup_reply)))

/* --- mounts ---------------------------------------------------------------------------------- */

/* The mount id at exactly this path in our mount namespace (the topmost); 0 if none. */
int mount_id(const char *path);
/* How many mounts lie at or below the path. */
unsigned mounts_below(const char *path);
/* Unmounts all at or below it, deepest first. */
void unmount_below(const char *path);

/* Whoever writes to a frozen filesystem waits in the kernel. It thaws by itself after 30 s. */
struct freezer {
    pid_t pid;
    int tell;
};
struct freezer filesystem_freeze(const char *path);
void filesystem_thaw(const struct freezer *freezer);

#endif
