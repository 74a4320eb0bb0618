/*
 * The node's sockets as bytes: what a client without our library, or with ill will, can say there.
 * nng's ipc transport is a greeting of 8 bytes from each side, then frames {1, length as 64 bits
 * big-endian, body}; a request's body begins with its number (nng's SP protocols, rfc/sp-*.txt).
 */
#ifndef TESTS_INTEGRATION_RAW_H
#define TESTS_INTEGRATION_RAW_H

#include "harness.h"

enum raw_door {
    DOOR_DISKD,
    DOOR_POOLD,
    DOOR_DISKD_EVENTS,
    DOOR_POOLD_EVENTS,
    DOOR_CONTROL,
    DOORS,
};
extern const char *const raw_door_names[DOORS];

enum { RAW_REQ = 0x30, RAW_SUB = 0x21, RAW_WAIT_MS = 20000 };

/* A connection made as this user, or -errno. Blocks, with RAW_WAIT_MS as the deadline of whatever
 * follows. */
int raw_connect(const struct node *node, enum raw_door door, uid_t uid, gid_t gid);
/* As root, and it must be let in. */
int raw_enter(const struct node *node, enum raw_door door);

/* Sends all, unless the other side has closed; false then. */
bool raw_send(int fd, const void *bytes, size_t length);
/* Both greetings; false when it was closed instead. */
bool raw_greet(int fd, unsigned protocol);
/* One request frame around a packed Call, or around anything else. */
bool raw_send_request(int fd, const void *body, size_t length);

/* The answer, or NULL when the connection was closed instead; fails the test at the deadline. Free
 * with storage_free(). */
Storage__V1__Reply *raw_receive_reply(int fd);
Storage__V1__ControlReply *raw_receive_packet(int fd);
/* Reads on until the other side has closed; fails the test, naming `what`, at the deadline. */
void raw_wait_closed(int fd, const char *what);

#endif
