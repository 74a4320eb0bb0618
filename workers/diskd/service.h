/* storage.v1.DiskService over the registry. */
#ifndef DISKD_SERVICE_H
#define DISKD_SERVICE_H

#include "registry.h"

int service_add(struct worker *worker, struct registry *registry, struct err *err);

#endif
