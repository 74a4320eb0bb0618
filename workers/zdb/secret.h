/* Passwords: compared in a time that does not tell how much of them was right. */
#ifndef WORKERS_ZDB_SECRET_H
#define WORKERS_ZDB_SECRET_H

#include <stdbool.h>
#include <stddef.h>

enum { SECRET_HASH = 40, SECRET_NONCE = 16 };

bool secret_equal(const void *given, size_t size, const char *password);
/* True if `given`, SECRET_HASH bytes, is the lower-case hex of sha1("nonce:password"). */
bool secret_hash_equal(const void *given, const char *nonce, const char *password);
/* SECRET_NONCE hex letters and a NUL; false without randomness. */
bool secret_nonce(char out_nonce[SECRET_NONCE + 1]);

#endif
