/* Runs of the importer: done when all is told and the child was waited for. A child that hangs on a
 * disk holds its own run alone. */
#include "importer.h"

#include "base/cleanup.h"
#include "program.h"
#include "reporter.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ARGUMENTS_MAX = 16,
    REPORTS_MAX = IMPORT_NAMESPACES_MAX + 1,
    BYTES_MAX = REPORTS_MAX * sizeof(struct import_report),
};

_Static_assert(IMPORT_REPORT_FD == (int)REPORTER_FD, "the importer reports there");

struct importer {
    struct reporter reporter;
    importer_done done;
    void *data;
    bool closing;
};

/* ---- its end --------------------------------------------------------------------------------- */

static void close_reporter(struct importer *importer)
{
    importer->closing = true;
    reporter_close(&importer->reporter, free, importer);
}

static int read_end(const struct reporter *reporter, const struct import_report *reports, size_t n,
                    struct err *err)
{
    const struct import_report *last = n > 0 ? &reports[n - 1] : NULL;
    if (reporter->size % sizeof *reports == 0 && last && last->kind == IMPORT_DONE)
        return 0;
    if (last && last->kind == IMPORT_FAILED && last->code != ERR_OK)
        return err_set(err, last->code, 0, "zdbimport", "%.*s", (int)sizeof last->reason,
                       last->reason);
    if (reporter->signal)
        return err_set(err, ERR_UNAVAILABLE, 0, "zdbimport", "the importer ended early: signal %d",
                       reporter->signal);
    return err_set(err, ERR_INTERNAL, 0, "zdbimport", "the importer ended early: exit %d",
                   (int)reporter->status);
}

static void review(struct reporter *reporter)
{
    struct importer *importer = container_of(reporter, struct importer, reporter);
    if (!reporter->told || !reporter->ended || importer->closing)
        return;
    autoerr struct err err = {0};
    const struct import_report *reports = (const struct import_report *)(void *)reporter->bytes;
    size_t n = reporter->broken ? 0 : reporter->size / sizeof *reports;
    int rc = read_end(reporter, reports, n, &err);
    close_reporter(importer); /* freed on the loop's next turn */
    if (rc < 0)
        importer->done(NULL, 0, NULL, &err, importer->data);
    else
        importer->done(reports, n - 1, &reports[n - 1], NULL, importer->data);
}

static void on_told(struct reporter *reporter)
{
    if (reporter->broken)
        importer_kill(container_of(reporter, struct importer, reporter));
    review(reporter);
}

/* ---- its beginning --------------------------------------------------------------------------- */

int importer_run(uv_loop_t *loop, const char *const *arguments, importer_done done, void *data,
                 struct importer **out_importer, struct err *err)
{
    char *argv[ARGUMENTS_MAX] = {NULL};
    autofree char *program = program_beside("zdbimport");
    struct importer *importer = calloc(1, sizeof *importer);
    if (!importer || !program) {
        free(importer);
        return err_errno(err, ENOMEM, "zdbimport", "cannot run the importer");
    }
    argv[0] = program;
    for (size_t i = 0; arguments[i] && i + 2 < ARGUMENTS_MAX; i++)
        argv[i + 1] = (char *)(uintptr_t)arguments[i];
    importer->done = done;
    importer->data = data;
    importer->reporter =
        (struct reporter){.most = BYTES_MAX, .on_told = on_told, .on_ended = review};
    int rc = reporter_spawn(&importer->reporter, loop, argv, -1);
    if (rc < 0) {
        importer_close(importer);
        return err_errno(err, -rc, program, "cannot execute the importer");
    }
    *out_importer = importer;
    return 0;
}

void importer_kill(struct importer *importer)
{
    if (!importer->reporter.ended)
        (void)uv_process_kill(&importer->reporter.child, SIGKILL);
}

void importer_close(struct importer *importer)
{
    if (!importer || importer->closing)
        return;
    if (importer->reporter.child.pid > 0)
        importer_kill(importer);
    close_reporter(importer);
}
