/* One pass over a pair of a user-mode namespace, as its loader makes it. */
#ifndef WORKERS_ZDB_LOAD_PASS_H
#define WORKERS_ZDB_LOAD_PASS_H

#include "load_private.h"

struct pass {
    struct load *load;
    struct ns *ns;
    uint32_t id;
    struct pair *pair;
    uint64_t data_size, index_size;
    uint64_t covered; /* the data up to here is what the index says */
    uint32_t last;    /* offset of the last data entry in it */
    bool has_last;
    struct taken { /* the last index entry, while it is the last in the data too */
        bool is_last;
        struct format_index_entry head;
        uint32_t offset;
        uint8_t key[FORMAT_KEY_MAX];
    } taken;
    struct walk gap;  /* beside the index: what that says nothing of, or is held against */
    struct walk tail; /* the same, near the end of the active pair */
    uint64_t spent;   /* bytes of the data that are no dead payload */
};

enum verdict { AGREES = 0, DIFFERS = 2 }; /* or LOAD_AGAIN, or an error */

/* --- load_replay.c: what both the index and the data say goes into the table ----------------- */

void pass_count_out(struct ns *ns, const struct key_record *record);
/* The key is dead, and its entry is marked so. */
int pass_forget(struct pass *pass, struct key_record *record);
void pass_fill(struct pass *pass, struct key_record *record, const struct format_index_entry *head,
               uint32_t file, uint32_t offset);
int pass_no_memory(struct pass *pass);
/* The data entry at this place, without its payload; `key` may be NULL. */
bool pass_read_head(struct pass *pass, uint32_t file, uint32_t offset,
                    struct format_data_entry *out, uint8_t key[FORMAT_KEY_MAX]);
/* Whether the data has this key where the index says so. */
bool pass_data_agrees(struct pass *pass, uint32_t file, uint32_t offset, const uint8_t *key,
                      uint8_t key_size);
int pass_take_tombstone(struct pass *pass, const struct walk_entry *entry);

/* Cuts the index there; what was marked dead by an entry behind lives again. */
int pass_cut(struct pass *pass, struct reader *reader, uint64_t from);
/* Adds to the index what the data has behind what it covers. */
int pass_replay(struct pass *pass);

#endif
