/*
 * The node's configuration: one INI file (default /etc/storaged/storaged.conf, may be missing when
 * it is the default), then flags
 * `--set section.key=value` that win over it. Every process reads all of it, so that one file is
 * right or wrong for all.
 *
 * Unknown sections and keys are errors, and so are values that do not parse or lie outside their
 * range; the message names file, line, key, and what is allowed. Sizes take K, M, G, T (powers of
 * 1024), durations are in ms.
 */
#ifndef LIB_CONFIG_SETTINGS_H
#define LIB_CONFIG_SETTINGS_H

#include "base/error.h"
#include "base/log.h"

#include <stdio.h>
#include <sys/types.h>

/* A list of strings, NULL-terminated, owned by the settings; never NULL itself. */
typedef char **settings_list;

/* From the first to the last, both included. */
struct settings_range {
    uint32_t first, last;
};

struct settings {
    char *path; /* of the file that was read, or would be if it were there; never NULL */

    /* [storaged] */
    char *run_dir;     /* /run/storaged */
    char *mount_root;  /* /mnt/storaged */
    char *cache_path;  /* /var/cache */
    char *group;       /* storage: who may read; root alone where it does not exist */
    char *libexec_dir; /* where the workers are; empty: beside the supervisor, else the installed
                          one */
    uid_t *admin_uids; /* admins = uids that may change things beside root */
    size_t n_admin_uids;
    uint32_t user_connections; /* 128: of one user beside those to a worker's requests */
    uint32_t user_calls;       /* 256: the same, of calls that are not answered yet */
    enum log_level log_level;

    /* [supervisor] */
    settings_list workers;           /* diskd poold zdbd */
    uint32_t beat_ms;                /* 1000 */
    uint32_t beats_missed;           /* 5 */
    uint32_t abort_grace_ms;         /* 2000: SIGABRT to SIGKILL */
    uint32_t kill_grace_ms;          /* 1000: SIGKILL to giving the pid up as stuck */
    uint32_t ready_ms;               /* 30000: spawn to READY */
    uint32_t stop_ms;                /* 10000: STOP to SIGABRT */
    uint32_t backoff_min_ms;         /* 100 */
    uint32_t backoff_max_ms;         /* 30000 */
    uint32_t backoff_jitter_percent; /* 25 */
    uint32_t healthy_ms;             /* 1000 of READY: no failure any more */
    uint32_t forget_ms;              /* 60000 of READY: failures forgotten */

    /* [disks] */
    settings_list allow; /* globs of device paths; empty: all but those in use */
    settings_list ssd;   /* globs of device paths or ids that are SSDs whatever the queue says */
    settings_list hdd;
    uint32_t probe_ms; /* 5000 */
    uint32_t mkfs_ms;  /* 120000 */

    /* [pools] */
    uint32_t incomplete_ms; /* 10000: how long a missing member is waited for */
    bool create;            /* yes: with no pool at all, make one */

    /* [cache] */
    uint64_t cache_size_bytes; /* 20G, at most cache_percent of the pool */
    uint32_t cache_percent;    /* 25 */

    /* [spaces] */
    uint64_t headroom_bytes; /* 1G: limit = size + min(size, headroom) */

    /* [zdb] */
    uint64_t zdb_overhead_bytes;     /* 64G: limit = size + min(size / 4 + 64M, overhead) */
    struct settings_range zdb_uids;  /* 860000-865535: owners of the pools' 0-db directories */
    char *zdb_binary;                /* empty: the 0-db server that comes with storaged */
    settings_list zdb_disk_types;    /* ssd hdd: of pools that serve 0-db */
    bool zdb_always;                 /* no: an 0-db runs from the first namespace of its pool on */
    char *zdb_listen;                /* 127.0.0.1 */
    struct settings_range zdb_ports; /* 9900-10899 */
    bool zdb_sync;                   /* no: what a 0-db answers is on the disk within a second */
    uint32_t zdb_files;              /* 16384: limit of open files of each, four a namespace */
    uint64_t zdb_memory_bytes;       /* 4G: limit of the memory of each */
};

/*
 * Parses the flags that every process shares out of argv: --config FILE, --set SECTION.KEY=VALUE
 * (repeatable). Known ones are removed from argv and *argc is lowered. Then reads the file. On
 * error `err` names it, code INVALID_ARGUMENT.
 */
int settings_load(int *argc, char **argv, struct settings **out_settings, struct err *err);

/* The effective config as an INI file that loads to the same. */
void settings_print(const struct settings *settings, FILE *out);

void settings_free(struct settings *settings);

/* <run_dir>/<name><suffix>, allocated; NULL without memory. */
char *settings_run_path(const struct settings *settings, const char *name, const char *suffix);

#endif
