/* The file of a listening ipc socket. */
#ifndef LIB_RPC_SOCKETFILE_H
#define LIB_RPC_SOCKETFILE_H

#include "base/error.h"

#define SOCKETFILE_SCHEME "ipc://"

enum { SOCKETFILE_MODE = 0660 };

/* The path in the URL, borrowed from it; NULL if it is not ipc://. */
const char *socketfile_path(const char *url);

/* Unlinks what a predecessor left, dead or hanging: its lock, not its socket, says whose turn it
 * is. Refuses to unlink anything but a socket. */
int socketfile_remove_stale(const char *url, struct err *err);

#endif
