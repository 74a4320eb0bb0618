/*
 * The names that callers give to what they reserve: 1 to NAME_MAX_BYTES bytes of UTF-8 without '/'
 * and control characters (C0, DEL, C1), and not "." or "..". PURE.
 */
#ifndef LIB_BASE_NAME_H
#define LIB_BASE_NAME_H

#include "base/error.h"

enum { NAME_MAX_BYTES = 128 };

/* INVALID_ARGUMENT says what is wrong with it. */
int name_check(const char *name, struct err *err);

#endif
