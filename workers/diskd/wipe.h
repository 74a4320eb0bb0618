/*
 * Wipe: a disk becomes blank. By its exact id, never what is in use, and without `force` nothing
 * but what is ours and was asked for by name.
 */
#ifndef DISKD_WIPE_H
#define DISKD_WIPE_H

#include "registry.h"

/* The handler of DiskService/Wipe; `call` is answered once, at once or later. `input` lives until
 * then. */
void wipe_handle(struct registry *registry, const Storage__V1__WipeRequest *input,
                 Storage__V1__Disk_Closure closure, struct rpc_call *call);

#endif
