/* What the loaders of the two modes share. */
#ifndef WORKERS_ZDB_LOAD_PRIVATE_H
#define WORKERS_ZDB_LOAD_PRIVATE_H

#include "load.h"
#include "reader.h"
#include "walk.h"

struct load {
    struct ns *ns;
    bool careful;        /* every entry of the index is held against its data */
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
/* The data file behind `offset` holds nothing sound: cut there if it is the active one. */
int load_cut_data(struct load *load, uint32_t id, uint64_t offset, uint64_t *size);
/* The data from one offset up to the other holds nothing sound: it is left out, and the active pair
 * sealed. */
void load_leave_out(struct load *load, uint32_t id, uint64_t from, uint64_t to);
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
