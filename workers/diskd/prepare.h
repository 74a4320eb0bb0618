/*
 * Prepare: one btrfs filesystem per disk, on disks that a probe just now found blank, while they
 * were held exclusively. Either all of them qualify, or nothing is written to any.
 */
#ifndef DISKD_PREPARE_H
#define DISKD_PREPARE_H

#include "registry.h"

enum { PREPARE_DISKS_MAX = 64 };

/* The handler of DiskService/Prepare; `call` is answered once, at once or later. */
void prepare_handle(struct registry *registry, const Storage__V1__PreparePolicy *policy,
                    Storage__V1__PrepareReply_Closure closure, struct rpc_call *call);

#endif
