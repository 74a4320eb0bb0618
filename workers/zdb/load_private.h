/* What the loaders of the two modes share. */
#ifndef WORKERS_ZDB_LOAD_PRIVATE_H
#define WORKERS_ZDB_LOAD_PRIVATE_H

#include "load.h"
#include "reader.h"
#include "walk.h"

struct load {
    struct ns *ns;
    bool careful;        /* all that the index says is held against the data */
    bool anew;           /* the index says nothing: all of it is made again */
    bool replayed;       /* a part of it was */
    bool walked;         /* sequential: the data was held against the index */
    uint64_t lost;       /* sequential: bytes of data that were left out, with entries in them */
    struct append index; /* where a replay adds entries */
    struct err *err;
};

/* Asks for all to be loaded once more, with more care: `careful`, and then `anew`. */
enum { LOAD_AGAIN = 1 };

int load_user(struct load *load);
int load_sequential(struct load *load);

/* By the headers and the data; -ERR_DATA_LOSS when they are of no version that is known. */
int load_mode(struct load *load, enum format_mode *out_mode);
/* Sizes of a pair's files as they are now; `missing` is taken note of. */
int load_sizes(struct load *load, uint32_t id, uint64_t *out_data, uint64_t *out_index);
/* 0, or -1 with `err` for a file that cannot be read or written. */
int load_io(struct load *load, const struct file *file, int rc, const char *what);
/* After WALK_BROKEN: the walk goes on behind what is left out, and WALK_ENTRY; or there is nothing
 * sound any more, so the file is cut here if it is the active one, and WALK_END. */
enum walk_result load_skip_broken(struct load *load, uint32_t id, struct walk *walk,
                                  uint64_t *size);
/* A part of this pair's data is damaged: if it is the active one, nothing is added to it. */
void load_seal(struct load *load, uint32_t id);
/* Cuts an index file, and says why in the log. */
int load_cut_index(struct load *load, uint32_t id, uint64_t offset, const char *why);

/* Begins to add to the index file of a pair, and ends. */
int load_add_begin(struct load *load, uint32_t id, uint64_t size);
int load_add(struct load *load, const struct format_index_entry *head, const uint8_t *key);
int load_add_end(struct load *load);
/* Writes an entry's head anew, where it stands; the key is as it was. */
int load_rewrite(struct load *load, uint32_t id, uint32_t offset,
                 const struct format_index_entry *head);
int load_mark_dead(struct load *load, uint32_t id, uint32_t offset);

#endif
