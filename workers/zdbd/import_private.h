/*
 * What the importer's files share. Directories are opened once, without following a link, and what
 * is in them is reached through them.
 */
#ifndef WORKERS_ZDBD_IMPORT_PRIVATE_H
#define WORKERS_ZDBD_IMPORT_PRIVATE_H

#include "import.h"

#include <sys/types.h>

/* ---- import_source.c ---- */

/* Two directories that another 0-db wrote, locked against it for as long as they are open. */
struct import_source {
    int data, index;
    int locks[2]; /* -1: there is no lock file, so no 0-db was ever there */
};
#define IMPORT_SOURCE_INIT ((struct import_source){-1, -1, {-1, -1}})

/* -ERR_FAILED_PRECONDITION when a 0-db has it open, with its pid where it can be found. To be
 * closed in any case. */
int import_source_open(struct import_source *source, const char *data_path, const char *index_path,
                       struct err *err);
void import_source_close(struct import_source *source);

/* The two directories of one namespace. */
struct import_pair {
    int data, index;
};
/* -ERR_NOT_FOUND or -ERR_FAILED_PRECONDITION when they are not there, or are no directories. To be
 * closed in any case. */
int import_pair_open(struct import_pair *pair, const struct import_source *source, const char *name,
                     struct err *err);
void import_pair_close(struct import_pair *pair);

/* ---- import_scan.c ---- */

/* Sends a report for each namespace. */
int import_scan(const char *data_path, const char *index_path, struct err *err);

/* ---- import_home.c ---- */

struct import_home {
    int dir, import; /* <home>, <home>/import, locked */
    int data, index; /* <home>/data, <home>/index */
};
#define IMPORT_HOME_INIT ((struct import_home){-1, -1, -1, -1})

/* With `make`, <home>/import is made. Without, -ERR_NOT_FOUND when it is not there. To be closed in
 * any case. */
int import_home_open(struct import_home *home, const char *path, bool make, struct err *err);
void import_home_close(struct import_home *home);

int import_home_look(const char *path, const char *id, bool *out_marked, struct err *err);
int import_home_clear(const char *path, const char *id, const char *name, struct err *err);
int import_home_settle(const char *path, const char *id, struct err *err);

/* Removes a directory and the files in it; one that is not there is removed. 0 or -errno. */
int import_remove_dir(int parent, const char *name);
/* All that is in <home>/import/<id>, and that itself. 0 or -errno. */
int import_remove_mark(const struct import_home *home, const char *id);

/* ---- import_copy.c ---- */

struct import_order {
    const char *data_path, *index_path, *name;
    const char *home, *id;
    uid_t uid;
    gid_t gid;
};

int import_copy(const struct import_order *order, struct err *err);

/* ---- import_file.c ---- */

/* Copies a plain file into a new one of `to`, which belongs to `uid` and is on the disk then, and
 * compares the two. The extents are shared where the filesystem can. */
int import_copy_file(int from, int to, const char *name, uid_t uid, gid_t gid, struct err *err);

/* ---- import.c ---- */

void import_send(const struct import_report *report);

#endif
