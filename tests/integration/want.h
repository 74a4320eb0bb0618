/*
 * Want of descriptors and memory, at a place of the test's choice: the linker puts the calls here
 * in the place of openat(2), open(2), opendir(3), fopen(3), statx(2) and fgetxattr(2).
 */
#ifndef TESTS_INTEGRATION_WANT_H
#define TESTS_INTEGRATION_WANT_H

#include <stdbool.h>

/* The how manieth of those calls from now on fails, once. */
void want_begin(long at);
/* Ends it; whether it has come to that. */
bool want_end(void);

#endif
