/*
 * The importer: a program of its own (`zdbimport`) that takes over what another 0-db wrote. zdbd
 * executes it, and nobody else, once for each of these; it does whatever may block on a disk, and
 * dies with zdbd.
 *
 *   zdbimport scan DATA INDEX
 *       an IMPORT_FOUND for each namespace that can be taken over, IMPORT_LEFT for each other
 *   zdbimport copy DATA INDEX NAME HOME ID UID GID
 *       copies a namespace into the home of a pool's 0-db, compares, and puts it in place
 *   zdbimport look HOME ID
 *       did a copy under this id come so far that something may be in place? (`marked`)
 *   zdbimport clear HOME ID NAME
 *       removes what such a copy has left, in place or not, and the mark at the end
 *   zdbimport settle HOME ID
 *       what was copied under this id is to stay: removes the mark
 *
 * The source is read only, no link in it is followed, and a 0-db that has it open is a refusal. A
 * copy grows in <home>/import/<id>/, which is root's alone; it is there before anything is put in
 * place, and goes last. Between the processes of one home there is a lock on <home>/import: one
 * that was killed, and has not ended yet, is waited for.
 *
 * Descriptor IMPORT_REPORT_FD is a pipe that takes `struct import_report`s; the last of a run is
 * IMPORT_DONE or IMPORT_FAILED, or the run was cut short.
 */
#ifndef WORKERS_ZDBD_IMPORT_H
#define WORKERS_ZDBD_IMPORT_H

#include "base/error.h"
#include "note.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    IMPORT_REPORT_FD = 3,
    IMPORT_NAMESPACES_MAX = 1024, /* in one directory */
    IMPORT_REASON_MAX = 256,
};

enum import_kind { IMPORT_FOUND = 1, IMPORT_LEFT, IMPORT_DONE, IMPORT_FAILED };

struct import_report {
    enum import_kind kind;
    enum err_code code;          /* of IMPORT_FAILED */
    char name[ZDB_NAME_MAX + 1]; /* of a namespace; of an IMPORT_LEFT as far as it can be shown */
    char reason[IMPORT_REASON_MAX]; /* of IMPORT_LEFT and IMPORT_FAILED */
    bool marked;                    /* IMPORT_DONE of `look` */

    /* Of IMPORT_FOUND. */
    uint64_t limit_bytes; /* 0: none */
    uint64_t entries;     /* live ones, by the index */
    uint64_t disk_bytes;  /* of its files; of IMPORT_LEFT too */
    uint64_t file_bytes;  /* of the largest of them */
    Storage__V1__ZDBMode mode;
    bool public, password;
};

#endif
