/*
 * A run of the importer (import.h), as the loop sees it: a child whose reports are gathered until
 * it has ended. Of the loop.
 */
#ifndef WORKERS_ZDBD_IMPORTER_H
#define WORKERS_ZDBD_IMPORTER_H

#include "import.h"

#include <stddef.h>
#include <uv.h>

struct importer;

/* Once. `err` is NULL when it went well: `last` is what it ended with, and the n before it are
 * those of namespaces. All are borrowed. The importer is gone then. */
typedef void (*importer_done)(const struct import_report *reports, size_t n,
                              const struct import_report *last, const struct err *err, void *data);

/* `arguments` behind the program's name, NULL-terminated; borrowed until it returns. Nothing is
 * called back before the loop's next turn. */
int importer_run(uv_loop_t *loop, const char *const *arguments, importer_done done, void *data,
                 struct importer **out_importer, struct err *err);

/* Kills it: `done` is called when it has ended. */
void importer_kill(struct importer *importer);
/* Kills it, and nothing is called back. NULL is let pass. */
void importer_close(struct importer *importer);

#endif
