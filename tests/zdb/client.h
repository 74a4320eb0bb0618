/*
 * A connection to a 0-db as a test needs it: it sends any bytes, and hands out each reply as the
 * very bytes that came. Waits have a deadline; what goes wrong with the connection itself fails the
 * running test.
 */
#ifndef TESTS_ZDB_CLIENT_H
#define TESTS_ZDB_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    CLIENT_WAIT_MS = 20000,
    CLIENT_WORDS_MAX = 2048,
};

struct client {
    int fd;
    uint8_t *in; /* what was received */
    size_t in_size, in_room;
    size_t taken; /* of it, what was handed out */
    bool ended;   /* the server closed */
};

struct word {
    const void *at;
    size_t size;
};
#define word(text) ((struct word){(text), strlen(text)})

/* A unix socket, or with a port one of the loopback's. */
struct client *client_open_unix(const char *path);
struct client *client_open_tcp(uint16_t port);
/* NULL when nobody listens there. */
struct client *client_try_unix(const char *path);
struct client *client_try_tcp(uint16_t port);
void client_close(struct client *client);

/* All of it, while the server reads; what it answers meanwhile is received too, so that a pipeline
 * of any length ends. False if the server closed before. */
bool client_send(struct client *client, const void *bytes, size_t size);
/* An array of bulk strings; request_format() gives its bytes, freed by the caller. */
bool client_send_words(struct client *client, const struct word *words, size_t n);
uint8_t *request_format(const struct word *words, size_t n, size_t *out_size);

/* The next whole reply, borrowed until the next call; NULL when the server closed before one was
 * whole. */
const uint8_t *client_reply(struct client *client, size_t *out_size);
/* What was received and not handed out; waits for at least `size`, for the end or the deadline. */
size_t client_fill(struct client *client, size_t size, int timeout_ms);
/* True if the server closes now, and sends nothing before. */
bool client_ends(struct client *client);
/* True if nothing arrives for so long. */
bool client_silent(struct client *client, int ms);

/* The size of the reply at the start of these bytes; 0 if it is not whole yet, SIZE_MAX if it is
 * none. */
size_t reply_size(const uint8_t *bytes, size_t size);

#endif
