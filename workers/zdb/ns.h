/*
 * A namespace: its files, what is known of them in memory, and its properties.
 *
 * Truth lies in the data files: an index can be made again from them. All fields belong to the main
 * thread. What one turn of the loop changes is gathered, and written by ns_flush() before anybody
 * is answered; what has to be changed in place (the mark on an entry that was replaced, the slot of
 * an id) waits until what replaces it is synced: see marks.h.
 */
#ifndef WORKERS_ZDB_NS_H
#define WORKERS_ZDB_NS_H

#include "append.h"
#include "base/error.h"
#include "file.h"
#include "keys.h"
#include "marks.h"
#include "zdbformat/format.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define NS_DESCRIPTOR     "zdb-namespace"
#define COMPACT_NOT_ASKED UINT32_MAX /* compact_next */

enum {
    NS_TOMBSTONES_RESERVE = 64 << 10, /* kept free behind the data for deletes */
    NS_FILES_MAX = KEYS_FILES_MAX,
    NS_ASIDE_SIZE = 32, /* of the name of what was put aside */
};

struct ns;
struct syncer;

/* Of all namespaces; from the flags. */
struct ns_config {
    struct syncer *syncer; /* borrowed; NULL: everything is synced by the main thread */
    uint64_t datasize;     /* a pair is closed before its data would be longer */
    bool mixed;            /* each namespace has a mode of its own */
    enum format_mode mode;
    bool durable; /* nobody hears of a write before it is synced */
    bool secure;  /* sync a pair that is closed */
    /* A pair was closed and the next one begun; may be NULL. */
    void (*rotated)(struct ns *ns, void *data);
    void *rotated_data;
};

struct pair {
    struct file data, index;
    uint64_t data_size, index_size; /* of a closed pair; the active one's are in `data`, `index` */
    uint64_t dead_bytes;            /* of payloads nobody can get any more; an estimate */
    uint64_t dead_kept;             /* so many of them a compaction would not get */
    uint64_t first_id;              /* sequential: the id of its first slot */
    bool dirty;                     /* its index was written since INDEX DIRTY RESET */
    bool missing;                   /* the data file is not there */
    /* While a compaction moves its keys over: those whose index entry stands before `moved_to` are
     * in the data file, the others still in the one that it replaced. */
    int old_data; /* -1: no such */
    uint64_t moved_to;
};

/* Index entries of one file that were marked since its compaction began: what replaces them is
 * synced. */
struct late_marks {
    uint32_t file;
    bool lost; /* no memory for all of them */
    struct marks marks;
};

enum ns_gate { NS_OPEN, NS_LOCKED, NS_FROZEN };

/* NSINFO's counters. */
struct ns_errors {
    uint64_t io_errors, faults;
    uint64_t last; /* unix seconds */
};

struct ns {
    struct ns *next; /* in the order of NSLIST */
    char name[FORMAT_NAME_MAX + 1];
    char password[FORMAT_PASSWORD_MAX + 1];
    uint64_t maxsize;
    bool is_public, worm;
    struct ns_settings *before; /* settings.c: while a change of these waits to be written; owned */
    bool described; /* these are its descriptor's; while they are not, nobody may select it */
    enum ns_gate gate;

    const struct ns_config *config; /* borrowed */
    int data_dir, index_dir;
    enum format_mode mode;
    struct pair **pairs;
    uint32_t n_pairs;
    struct append data, index; /* of the active pair */
    bool sealed; /* to which nothing is added: a part of its data is damaged, and may come to look
                  * whole by what is written behind it */
    uint32_t last_data, last_index; /* offsets of the newest entries: the next ones' `previous` */
    struct keys *keys;              /* user mode */
    struct marks marks;             /* that no batch of sync.h has yet */
    struct marks settling;          /* that one has; to be read only */
    uint64_t entries, live_bytes;
    uint64_t opened_at; /* unix seconds: --rotate */
    bool written;       /* since then */

    uint32_t sync_from; /* pairs from this one on have what is not synced */
    bool unsynced;
    bool syncing;           /* a batch of sync.h has it */
    uint64_t settled;       /* batches that are over, and their marks made */
    uint64_t compact_after; /* so many of them: what was dead when COMPACT came is marked then */
    uint32_t compact_next;  /* COMPACT takes pairs from this one on, whatever is dead in them */
    struct late_marks
        *late;        /* compact.h wants to know what is marked meanwhile; NULL: it does not */
    bool sync_failed; /* who waits for a sync of it is to be told */
    bool doubtful;    /* since then the kernel's memory of its files is not to be believed */
    bool damaged;     /* why is in `damage`; nothing but its properties is to be used */
    char damage[ERR_MESSAGE_MAX];
    struct ns_errors index_errors, data_errors;
};

static inline struct pair *ns_active(const struct ns *ns)
{
    return ns->pairs[ns->n_pairs - 1];
}

static inline uint64_t ns_data_size(const struct ns *ns, uint32_t pair)
{
    return pair + 1 == ns->n_pairs ? append_offset(&ns->data) : ns->pairs[pair]->data_size;
}

static inline uint64_t ns_index_size(const struct ns *ns, uint32_t pair)
{
    return pair + 1 == ns->n_pairs ? append_offset(&ns->index) : ns->pairs[pair]->index_size;
}

/* The id that the next sequential entry gets. */
static inline uint64_t ns_next_id(const struct ns *ns)
{
    return ns_active(ns)->first_id +
           (append_offset(&ns->index) - FORMAT_INDEX_HEADER) / FORMAT_SLOT;
}

/* It has, or once had, an entry. */
static inline bool ns_was_written(const struct ns *ns)
{
    return ns->n_pairs > 1 || append_offset(&ns->data) > FORMAT_DATA_HEADER ||
           append_offset(&ns->index) > FORMAT_INDEX_HEADER;
}

/* --- the life of a namespace ----------------------------------------------------------------- */

/* Nothing is opened or loaded yet. NULL without memory. */
struct ns *ns_new(const char *name, const struct ns_config *config);
/* Opens its directories, after ns_unload() again; makes that of the data, and with `make` that of
 * the index. 0 or a negative errno. */
int ns_open_dirs(struct ns *ns, int data_root, int index_root, bool make);
/* Forgets it all; what is gathered and not flushed is lost. */
void ns_close(struct ns *ns);
/* Forgets its files and keys, as before load_namespace(). */
void ns_unload(struct ns *ns);
/* Refuses all but its properties from now on. */
void ns_fail(struct ns *ns, const char *why);
/* The same until it is loaded again, from the disk and not from what the kernel remembers, which is
 * at the end of the turn; who waits for a sync of it is told then. */
void ns_doubt(struct ns *ns, const char *why);

/*
 * remove.c: removes what a namespace has on the disk. It is gone from the mark on, whatever ends
 * the process: the next start goes on with what is marked. Where it cannot be marked it is as it
 * was, or in doubt: see ns_doubt(). Put aside, it leaves its name free, and has another one that no
 * namespace gets; then its files go.
 */
int ns_begin_removal(struct ns *ns, int index_root);
/* The mark alone, whoever has the directory; a failure may leave it there. */
int ns_mark_removed(int index_root, const char *name);
/* Takes it back, if it is there. */
int ns_unmark_removed(int index_dir);
bool ns_is_being_removed(int index_root, const char *name);
/* Of one that is marked and closed. A failure may leave the data aside already: `out_aside` is
 * written in any case. */
int ns_set_aside(int data_root, int index_root, const char *name, char out_aside[NS_ASIDE_SIZE]);
bool ns_is_aside(const char *name);
/* Both directories. Any thread. `stop`: -ECANCELED once it is set; or NULL. */
int ns_clear_away(int data_root, int index_root, const char *name, const atomic_bool *stop);
/* What ns_empty() has left in them; as ns_clear_away(). */
int ns_clear_gone(int data_root, int index_root, const char *name, const atomic_bool *stop);
/* True if there is nothing of the name but empty directories. */
bool ns_is_vacant(int data_root, int index_root, const char *name);
/* Removes all entries, and makes pair 0 anew; nothing is loaded afterwards. Once it has begun it is
 * gone on with before the next load: a failure leaves the namespace as it was, or in doubt. The
 * files stay under other names until ns_clear_gone(). */
int ns_empty(struct ns *ns);
int ns_go_on_emptying(struct ns *ns);

/* zdb-namespace; -ENOENT when there is none, -EBADMSG when it is none. */
int ns_read_descriptor(struct ns *ns);
/* A failure may leave the new one there. */
int ns_write_descriptor(const struct ns *ns);
/* True if it is there, and says what memory does. */
bool ns_has_descriptor(const struct ns *ns);

/* --- pairs ----------------------------------------------------------------------------------- */

/* One more in memory, and nothing on the disk. NULL without memory. */
struct pair *ns_add_pair(struct ns *ns);
/* Makes the files of a pair, data first, and syncs them and their directories. */
int ns_create_files(struct ns *ns, uint32_t pair);
void ns_data_header(uint32_t id, struct format_data_header *out);
void ns_index_header(const struct ns *ns, uint32_t id, struct format_index_header *out);
/* The last pair becomes the one that grows. */
void ns_activate(struct ns *ns, uint64_t data_size, uint64_t index_size);
/* Closes the active pair and begins the next. A failure changes nothing. */
int ns_rotate(struct ns *ns);

/* Writes what was gathered, data first. */
int ns_flush(struct ns *ns);
/* Counts an error of a file, for NSINFO. */
void ns_count_error(struct ns *ns, enum io_kind kind, int rc);

#endif
