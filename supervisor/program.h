/* Where the workers' programs are. */
#ifndef SUPERVISOR_PROGRAM_H
#define SUPERVISOR_PROGRAM_H

#include "config/settings.h"

#include <stddef.h>

/*
 * The path of `name`: in libexec_dir if the config names one; else beside our own binary, if it is
 * there (a build tree); else in libexec of the tree that our binary lies in; else in that of the
 * build's prefix. Asked at each start, so that an upgrade is found.
 */
void program_find(const struct settings *settings, const char *name, char *out_path, size_t size);

#endif
