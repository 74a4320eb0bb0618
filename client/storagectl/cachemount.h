/* The proof that a path is the cache of a pool, by what the kernel says of it. */
#ifndef STORAGECTL_CACHEMOUNT_H
#define STORAGECTL_CACHEMOUNT_H

#include "base/error.h"

/* 0, or FAILED_PRECONDITION and why it is not. `pool` is the pool's fsid. */
int cachemount_check(const char *path, const char *pool, struct err *err);

#endif
