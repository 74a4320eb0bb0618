/*
 * What a 0-db says of a namespace: the reply of NSINFO, lines `key: value`. PURE.
 */
#ifndef WORKERS_ZDBD_NSINFO_H
#define WORKERS_ZDBD_NSINFO_H

#include "base/error.h"
#include "storage/v1/zdb.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NSINFO_TROUBLE_MAX = 128 };

struct nsinfo {
    uint64_t entries;
    uint64_t data_bytes, index_bytes; /* live payload; the keys' files */
    uint64_t limit_bytes;             /* of data_bytes; 0: none */
    uint64_t errors;                  /* failed reads and writes, and broken entries */
    bool public, password, locked;    /* locked: or frozen */
    Storage__V1__ZDBMode mode;
    char trouble[NSINFO_TROUBLE_MAX]; /* why nobody can use it; empty: they can */
};

/* -ERR_DATA_LOSS for a text that lacks one of these, or speaks of another namespace. */
int nsinfo_parse(const char *text, size_t length, const char *name, struct nsinfo *out_info,
                 struct err *err);

/* One figure of a terminated text, which INFO's may be as well; false, where it is not there. */
bool nsinfo_find_number(const char *text, const char *key, uint64_t *out_number);
/* `errors` alone. */
uint64_t nsinfo_sum_errors(const char *text);

#endif
