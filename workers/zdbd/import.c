/*
 * The importer, see import.h: what is asked for as a table, and the reports. One thread; nothing is
 * kept from one run to the next but what lies on the disk.
 */
#include "import_private.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/name.h"
#include "base/quantity.h"
#include "base/uuid.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

/* ---- reports --------------------------------------------------------------------------------- */

/* Whoever does not read them is gone, and so are we. */
void import_send(const struct import_report *report)
{
    const char *at = (const char *)report;
    for (size_t left = sizeof *report; left > 0;) {
        ssize_t n = write(IMPORT_REPORT_FD, at, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            _exit(EXIT_FAILURE);
        at += n;
        left -= (size_t)n;
    }
}

/* ---- what is asked for ----------------------------------------------------------------------- */

static int scan(char **args, struct import_report *done, struct err *err)
{
    (void)done;
    return import_scan(args[0], args[1], err);
}

static int copy(char **args, struct import_report *done, struct err *err)
{
    uint64_t uid, gid;
    (void)done;
    /* Root is no owner of a 0-db. */
    if (quantity_parse_u64(args[5], &uid) < 0 || quantity_parse_u64(args[6], &gid) < 0 ||
        uid == 0 || uid >= UINT32_MAX || gid == 0 || gid >= UINT32_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "zdbimport", "no owner: %s:%s", args[5],
                       args[6]);
    const struct import_order order = {.data_path = args[0],
                                       .index_path = args[1],
                                       .name = args[2],
                                       .home = args[3],
                                       .id = args[4],
                                       .uid = (uid_t)uid,
                                       .gid = (gid_t)gid};
    return import_copy(&order, err);
}

static int look(char **args, struct import_report *done, struct err *err)
{
    return import_home_look(args[0], args[1], &done->marked, err);
}

static int clear(char **args, struct import_report *done, struct err *err)
{
    (void)done;
    return import_home_clear(args[0], args[1], args[2], err);
}

static int settle(char **args, struct import_report *done, struct err *err)
{
    (void)done;
    return import_home_settle(args[0], args[1], err);
}

static const struct verb {
    const char *name;
    int n_args;
    int id, space; /* which of them is an id, and the name of a namespace; -1: none */
    int (*run)(char **args, struct import_report *done, struct err *err);
} verbs[] = {
    {"scan", 2, -1, -1, scan}, {"copy", 7, 4, 2, copy},      {"look", 2, 1, -1, look},
    {"clear", 3, 1, 2, clear}, {"settle", 2, 1, -1, settle},
};

static int run(int argc, char **argv, struct import_report *done, struct err *err)
{
    for (size_t i = 0; argc > 1 && i < array_length(verbs); i++) {
        const struct verb *verb = &verbs[i];
        char **args = argv + 2;
        if (strcmp(argv[1], verb->name) != 0 || argc - 2 != verb->n_args)
            continue;
        if (verb->space >= 0 && name_check(args[verb->space], err) < 0)
            return -ERR_INVALID_ARGUMENT;
        if (verb->id < 0 || uuid_valid(args[verb->id]))
            return verb->run(args, done, err);
    }
    return err_set(err, ERR_INVALID_ARGUMENT, 0, "zdbimport", "wrong arguments");
}

/* ---- the beginning --------------------------------------------------------------------------- */

/* Nobody is left to undo what a copy does that goes on without zdbd: the next one waits for it. */
static int begin(struct err *err)
{
    struct pollfd report = {.fd = IMPORT_REPORT_FD};
    (void)close_range(IMPORT_REPORT_FD + 1, ~0u, 0);
    (void)umask(077);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return err_errno(err, errno, "zdbimport", "cannot end with zdbd");
    if (poll(&report, 1, 0) < 0 || (report.revents & (POLLERR | POLLNVAL)))
        _exit(EXIT_FAILURE); /* it has ended before that */
    return 0;
}

int main(int argc, char **argv)
{
    struct import_report last = {.kind = IMPORT_DONE};
    autoerr struct err err = {0};
    log_init("zdbimport", LOG_INFO);
    int rc = begin(&err);
    if (rc == 0)
        rc = run(argc, argv, &last, &err);
    if (rc < 0) {
        last.kind = IMPORT_FAILED;
        last.code = err.code;
        (void)snprintf(last.reason, sizeof last.reason, "%s", err.message);
    }
    import_send(&last);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
