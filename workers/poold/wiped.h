/*
 * The note that the operator wiped a pool since the node has booted: <run>/poold.wiped, which holds
 * the boot's id, since nobody promises that a run directory is empty after a boot. Of the loop.
 */
#ifndef WORKERS_POOLD_WIPED_H
#define WORKERS_POOLD_WIPED_H

#include "config/settings.h"

#include <stdbool.h>

bool wiped_is_noted(const struct settings *settings);
/* What cannot be noted is logged: then only this poold knows. */
void wiped_note(const struct settings *settings);
void wiped_forget(const struct settings *settings);

#endif
