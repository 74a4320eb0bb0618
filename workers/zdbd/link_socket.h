/*
 * What a link does in the run directory of its 0-db: its socket and its password. That directory is
 * the 0-db's own, so nothing in it is trusted: it may hold links, pipes, anything. System calls
 * that do not block.
 */
#ifndef WORKERS_ZDBD_LINK_SOCKET_H
#define WORKERS_ZDBD_LINK_SOCKET_H

#include "base/error.h"

#include <sys/types.h>

enum { LINK_PASSWORD_LENGTH = 64 };

/*
 * A connection to `<dir>/socket`, of whose other end `pid` listens; the caller's. `err` has the
 * errno: ENOENT and ECONNREFUSED while nobody listens, EAGAIN when who listens accepts nobody.
 * -ERR_PERMISSION_DENIED when it is another process.
 */
int link_socket_connect(const char *dir, pid_t pid, int *out_fd, struct err *err);

/* From `<dir>/password`. */
int link_socket_read_password(const char *dir, char out_password[LINK_PASSWORD_LENGTH + 1],
                              struct err *err);

#endif
