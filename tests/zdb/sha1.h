/* SHA-1 (FIPS 180-4), for the answer to a challenge. "abc" gives a9993e36…d0d89d. */
#ifndef TESTS_ZDB_SHA1_H
#define TESTS_ZDB_SHA1_H

#include <stddef.h>

/* Lowercase hex, terminated. */
void sha1_hex(const void *data, size_t size, char out[41]);

#endif
