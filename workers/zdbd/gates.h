/*
 * Gates: a 0-db forgets at its end what is locked or frozen. It is told with its launch, so that it
 * lets nobody in before, and once more when it is up. Of the loop.
 */
#ifndef WORKERS_ZDBD_GATES_H
#define WORKERS_ZDBD_GATES_H

#include "base/error.h"

struct pool;

/* A line for each of the pool's namespaces that is shut, as a launcher reads them. The
 * caller closes it. */
int gates_list(const struct pool *pool, int *out_fd, struct err *err);

#endif
