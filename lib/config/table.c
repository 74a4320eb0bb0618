/* All keys, in the order in which they are printed; and what must hold between them. */
#include "table.h"

#include "base/cleanup.h"

#include <string.h>

enum {
    RUN_DIR_MAX = 90, /* "<run_dir>/storaged.lock" must fit a unix socket's path, 107 bytes */
    PATH_MAX_BYTES = 1024,
    NAME_MAX_BYTES = 64,
    LIST_MAX = 256,
    HOUR_MS = 3600 * 1000,
    DAY_MS = 24 * HOUR_MS,
};

#define SIZE_MAX_BYTES ((uint64_t)1 << 60)

#define KEY(section_, key_, field_, type_, value_, min_, max_, help_)                              \
    {                                                                                              \
        .section = (section_), .key = (key_), .type = &setting_##type_,                            \
        .offset = offsetof(struct settings, field_), .value = (value_), .min = (min_),             \
        .max = (max_), .help = (help_)                                                             \
    }

/* clang-format off */
const struct setting settings_table[] = {
    KEY("storaged", "run_dir", run_dir, path, "/run/storaged", 2, RUN_DIR_MAX,
        "sockets and locks"),
    KEY("storaged", "mount_root", mount_root, path, "/mnt/storaged", 2, PATH_MAX_BYTES,
        "each pool is mounted below it, by its fsid"),
    KEY("storaged", "cache_path", cache_path, path, "/var/cache", 2, PATH_MAX_BYTES,
        "where the cache is bound"),
    KEY("storaged", "group", group, text, "storage", 1, NAME_MAX_BYTES,
        "who may read; root alone where the group does not exist"),
    KEY("storaged", "libexec_dir", libexec_dir, path, "", 0, PATH_MAX_BYTES,
        "where the workers are; empty: beside storaged, else where they were installed"),
    KEY("storaged", "admins", admin_uids, uids, "", 0, LIST_MAX,
        "uids that may change things beside root"),
    KEY("storaged", "user_connections", user_connections, u32, "128", 1, 768,
        "connections to a worker's requests of one user who is neither root nor an admin"),
    KEY("storaged", "user_calls", user_calls, u32, "256", 1, 1024,
        "calls of such a user that a worker has not answered yet"),
    KEY("storaged", "log_level", log_level, level, "info", 0, 0,
        "the least that is logged"),

    KEY("supervisor", "workers", workers, list, "diskd poold zdbd", 1, 16,
        "the workers, in the order of their start"),
    KEY("supervisor", "beat_ms", beat_ms, u32, "1000", 10, HOUR_MS,
        "how often a worker says that its loop turns"),
    KEY("supervisor", "beats_missed", beats_missed, u32, "5", 1, 1000,
        "so many missed, and it hangs"),
    KEY("supervisor", "abort_grace_ms", abort_grace_ms, u32, "2000", 1, HOUR_MS,
        "from SIGABRT to SIGKILL"),
    KEY("supervisor", "kill_grace_ms", kill_grace_ms, u32, "1000", 1, HOUR_MS,
        "from SIGKILL to giving the process up as stuck"),
    KEY("supervisor", "ready_ms", ready_ms, u32, "30000", 1, HOUR_MS,
        "from its start to READY"),
    KEY("supervisor", "stop_ms", stop_ms, u32, "10000", 1, HOUR_MS,
        "from the order to stop to SIGABRT"),
    KEY("supervisor", "backoff_min_ms", backoff_min_ms, u32, "100", 1, DAY_MS,
        "the first wait after a failure, of a 0-db too; each further one doubles it"),
    KEY("supervisor", "backoff_max_ms", backoff_max_ms, u32, "30000", 1, DAY_MS,
        "the longest wait"),
    KEY("supervisor", "backoff_jitter_percent", backoff_jitter_percent, u32, "25", 0, 90,
        "how far a wait may differ from that by chance"),
    KEY("supervisor", "healthy_ms", healthy_ms, u32, "1000", 1, DAY_MS,
        "an end after so long in READY is no failure"),
    KEY("supervisor", "forget_ms", forget_ms, u32, "60000", 1, DAY_MS,
        "after so long in READY, earlier failures are forgotten"),

    KEY("disks", "allow", allow, list, "", 0, LIST_MAX,
        "globs of device paths: no other is ever opened; empty: all but those in use"),
    KEY("disks", "ssd", ssd, list, "", 0, LIST_MAX,
        "globs of device paths or ids that are SSDs, whatever the kernel says"),
    KEY("disks", "hdd", hdd, list, "", 0, LIST_MAX,
        "globs of device paths or ids that are HDDs, whatever the kernel says"),
    KEY("disks", "probe_ms", probe_ms, u32, "5000", 10, HOUR_MS,
        "a disk that answers no probe for so long is broken"),
    KEY("disks", "mkfs_ms", mkfs_ms, u32, "120000", 100, DAY_MS,
        "the longest that mkfs may take"),

    KEY("pools", "incomplete_ms", incomplete_ms, u32, "10000", 1, DAY_MS,
        "how long the missing disk of a pool is waited for"),
    KEY("pools", "create", create, bool, "yes", 0, 0,
        "with no pool at all, make one"),

    KEY("cache", "size", cache_size_bytes, size, "20G", 1 << 20, SIZE_MAX_BYTES,
        "the limit of the cache"),
    KEY("cache", "percent", cache_percent, u32, "25", 1, 100,
        "of its pool that the cache may take at most"),

    KEY("spaces", "headroom", headroom_bytes, size, "1G", 0, SIZE_MAX_BYTES,
        "limit enforced = size promised + min(size, headroom)"),

    KEY("zdb", "overhead", zdb_overhead_bytes, size, "64G", 0, SIZE_MAX_BYTES,
        "bytes booked = size asked for + min(size / 4 + 64M, overhead)"),
    KEY("zdb", "uids", zdb_uids, range, "860000-865535", 1, UINT32_MAX - 1,
        "whose the pools' 0-db directories are, one each"),
    KEY("zdb", "binary", zdb_binary, path, "", 0, PATH_MAX_BYTES,
        "the 0-db server; empty: the one that comes with storaged"),
    KEY("zdb", "disk_types", zdb_disk_types, list, "ssd hdd", 0, 2,
        "the disk types whose pools serve 0-db"),
    KEY("zdb", "always", zdb_always, bool, "no", 0, 0,
        "run one on every such pool, before there is a namespace"),
    KEY("zdb", "listen", zdb_listen, text, "127.0.0.1", 1, NAME_MAX_BYTES,
        "the TCP address of every 0-db; :: for the whole network"),
    KEY("zdb", "ports", zdb_ports, range, "9900-10899", 1, UINT16_MAX,
        "the TCP ports that they get, one for each pool, for good"),
    KEY("zdb", "sync", zdb_sync, bool, "no", 0, 0,
        "a 0-db answers a write when it is on the disk, not within a second before it is"),
    KEY("zdb", "files", zdb_files, u32, "16384", 64, 1 << 20,
        "the open files that each may have"),
    KEY("zdb", "memory", zdb_memory_bytes, size, "4G", 64 << 20, SIZE_MAX_BYTES,
        "the memory that each may have"),
};
/* clang-format on */
const size_t settings_table_length = array_length(settings_table);

const struct setting *settings_find(const char *section, const char *key)
{
    for (size_t i = 0; i < settings_table_length; i++)
        if (strcmp(settings_table[i].section, section) == 0 &&
            strcmp(settings_table[i].key, key) == 0)
            return &settings_table[i];
    return NULL;
}

bool settings_has_section(const char *section)
{
    for (size_t i = 0; i < settings_table_length; i++)
        if (strcmp(settings_table[i].section, section) == 0)
            return true;
    return false;
}

static bool same_or_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static int check_order(uint32_t less, uint32_t more, const char *less_key, const char *more_key,
                       struct err *err)
{
    if (less <= more)
        return 0;
    return err_set(err, ERR_INVALID_ARGUMENT, 0, less_key,
                   "%s is %u, and must not be more than %s, which is %u", less_key, less, more_key,
                   more);
}

static int check_apart(const char *a, const char *b, const char *a_key, const char *b_key,
                       struct err *err)
{
    if (!same_or_below(a, b) && !same_or_below(b, a))
        return 0;
    return err_set(err, ERR_INVALID_ARGUMENT, 0, a_key,
                   "%s (%s) and %s (%s) must not lie within each other", a_key, a, b_key, b);
}

int settings_check(const struct settings *s, struct err *err)
{
    int rc = check_order(s->backoff_min_ms, s->backoff_max_ms, "supervisor.backoff_min_ms",
                         "supervisor.backoff_max_ms", err);
    if (rc == 0)
        rc = check_order(s->healthy_ms, s->forget_ms, "supervisor.healthy_ms",
                         "supervisor.forget_ms", err);
    if (rc == 0)
        rc = check_order(s->beat_ms, s->ready_ms, "supervisor.beat_ms", "supervisor.ready_ms", err);
    if (rc == 0)
        rc = check_apart(s->run_dir, s->mount_root, "storaged.run_dir", "storaged.mount_root", err);
    if (rc == 0)
        rc = check_apart(s->run_dir, s->cache_path, "storaged.run_dir", "storaged.cache_path", err);
    if (rc == 0)
        rc = check_apart(s->cache_path, s->mount_root, "storaged.cache_path", "storaged.mount_root",
                         err);
    return rc;
}
