/* Whether somebody listens at a unix socket, told at once and without a dialer. */
#ifndef LIB_RPC_PROBE_H
#define LIB_RPC_PROBE_H

/* 0, or the positive errno of connect(2): ENOENT, ECONNREFUSED, EACCES, … A full backlog counts as
 * listening. Does not block; the listener sees a connection that says nothing and goes. */
int probe_listener(const char *path);

#endif
