/* The server under test with the library of badcalls.h in it. */
#ifndef TESTS_ZDB_FAULTY_H
#define TESTS_ZDB_FAULTY_H

#include "badcalls.h"

#include <stdbool.h>

extern struct badcalls *bad; /* of the server that runs */

/* server_start(), with nothing that fails yet. */
void faulty_start(const char *const *flags);
#define faulty_start_with(...) faulty_start((const char *const[]){__VA_ARGS__, NULL})
/* As faulty_arm(), but of a start, which may fail: false then. */
bool faulty_try_start(const char *const *flags, enum badcall call, int skip, int fail, int error);
/* The same of a start that must be refused: its exit code. */
int faulty_start_refused(enum badcall call, int skip, int fail, int error);
/* Killed, and started again. */
void faulty_restart(const char *const *flags);
/* From now on `skip` calls of the kind succeed, and then `fail` fail with the error. */
void faulty_arm(enum badcall call, int skip, int fail, int error);
/* The same of two kinds, counted together. */
void faulty_arm_two(enum badcall call, enum badcall also, int skip, int fail, int error);
void faulty_disarm(void);

#endif
