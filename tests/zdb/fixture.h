/*
 * What every test of the server starts with: an empty directory, a server that is not started, and
 * up to nine connections, all of which are gone after the test, however it ended. The tests run in
 * a child of the program, so that the directory goes even when they crash.
 */
#ifndef TESTS_ZDB_FIXTURE_H
#define TESTS_ZDB_FIXTURE_H

#include "base/cleanup.h"
#include "server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { FIXTURE_CLIENTS = 10, FIXTURE_SKIP = 77 };

/* Of the running test. */
extern struct server zdb;

struct zdb_case {
    const char *name;
    void (*run)(void);
};
#define zdb_case(function)                                                                         \
    {                                                                                              \
#function, function                                                                        \
    }

/* Runs the cases as a cmocka group; an argument filters them. The result is main's. */
int zdb_main(int argc, char **argv, const char *group, const struct zdb_case *cases, size_t n);

/* Connection 1..9 over the unix socket, opened at its first use; anew after a hangup(). */
struct client *on(unsigned number);
/* The same place, but over TCP; for before its first use. */
struct client *on_tcp(unsigned number);
void hangup(unsigned number);
void hangup_all(void);

#endif
