/*
 * Conversations as tables: what a connection asks, and the exact bytes that it must get.
 *
 * A request is words with a space between them; '' is the empty word, %XX a byte, @N a word of N
 * letters k. An expected reply is read as tokens with a | between them:
 *   +text  -text  :n   a line of this kind          :#     any number
 *   nil                a bulk string that is none   =text  this bulk string (with %XX)
 *   =#                 one of decimal digits        =?N    one of N bytes
 *   =^text             one that starts with this    =~     any
 *   -?                 any error
 *   *N                 the head of an array         EOF    and then the server closes
 * "" expects nothing: the request is sent, and its reply is a later row's, which asks for "".
 */
#ifndef TESTS_ZDB_SCRIPT_H
#define TESTS_ZDB_SCRIPT_H

#include "fixture.h"

struct row {
    unsigned on; /* the connection, 1..9 */
    const char *request, *reply;
};

#define script(rows) script_run((rows), array_length(rows), __FILE__, __LINE__)
void script_run(const struct row *rows, size_t n, const char *file, int line);

#define ask(number, request, reply) ask_one((number), (request), (reply), __FILE__, __LINE__)
void ask_one(unsigned number, const char *request, const char *reply, const char *file, int line);

/* The words of a request, as bytes; freed by the caller. */
uint8_t *request_parse(const char *request, size_t *out_size);

/* True if these bytes are the reply, to the last. */
bool reply_fits(const uint8_t *bytes, size_t size, const char *reply);
/* Fails unless they are. `what` says of what. */
void reply_match(const uint8_t *bytes, size_t size, const char *reply, const char *what,
                 const char *file, int line);

/* A bulk reply's bytes (terminated, freed by the caller); fails if it is none. */
char *ask_bulk(unsigned number, const char *request, size_t *out_size);

/* A number that INFO tells under this name; its request is "INFO", or was sent before and is "". */
uint64_t ask_info(unsigned number, const char *request, const char *field);

/* Waits until what was removed has gone from the disk, as INFO tells on this connection. */
void removals_end(unsigned number);

#endif
