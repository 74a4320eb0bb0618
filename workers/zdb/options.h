/* The command line; the flags are upstream's. */
#ifndef WORKERS_ZDB_OPTIONS_H
#define WORKERS_ZDB_OPTIONS_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum { OPTIONS_ADMIN_MAX = 128 };

struct options {
    const char *data, *index, *listen, *socket, *hook, *logfile, *gates;
    char admin[OPTIONS_ADMIN_MAX + 1]; /* empty: no password */
    uint16_t port;
    bool mixed, sequential; /* each namespace its own mode; or all this one */
    uint64_t datasize, maxsize, memory;
    uint32_t synctime_s;      /* at least 1 */
    uint32_t rotate_s;        /* 0: never */
    uint32_t compact_percent; /* dead of a closed data file; 0: only when asked */
    bool sync, secure, dualnet, protect, background, dump, verbose;
};

enum options_result { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_WRONG };

/* Borrows from argv. The admin's password is wiped from there, so that nobody reads it in a list of
 * processes for longer than this takes. */
enum options_result options_parse(struct options *out, int argc, char **argv, struct err *err);
void options_print_help(void);

#endif
