/*
 * The names that callers give to spaces: 1 to RECORD_NAME_MAX bytes of UTF-8 without '/' and
 * control characters (C0, DEL, C1), and not "." or "..". PURE.
 */
#ifndef WORKERS_POOLD_NAME_H
#define WORKERS_POOLD_NAME_H

#include "base/error.h"

/* INVALID_ARGUMENT says what is wrong with it. */
int name_check(const char *name, struct err *err);

#endif
