/*
 * The control socket: <run>/control.sock, SOCK_SEQPACKET, one packed ControlRequest or ControlReply
 * a packet (proto/storage/v1/worker.proto). Whoever may connect may list; changes are for root and
 * the configured uids (SO_PEERCRED).
 *
 * No client can hold anything up: requests and clients are bounded, a reply that does not fit the
 * client's socket closes him, and when all places are taken the client that has been silent for the
 * longest time makes room.
 */
#ifndef SUPERVISOR_CONTROL_H
#define SUPERVISOR_CONTROL_H

#include "supervisor.h"

enum {
    CONTROL_CLIENTS_MAX = 64,
    CONTROL_PACKET_MAX = 64 * 1024,
};

/* `supervisor` outlives it. A stale socket file is replaced: the caller holds the instance lock. */
int control_open(struct supervisor *supervisor, struct control **out_control, struct err *err);

/* Answers every client that asked for the shutdown. */
void control_answer_shutdown(struct control *control);

/* Unlinks the socket; the memory goes when the loop has closed the handles. Accepts NULL. */
void control_close(struct control *control);

#endif
