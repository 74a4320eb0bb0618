/* UUIDs in their 36-character lower-case form (RFC 4122): the ids of pools and
 * spaces. */
#ifndef LIB_BASE_UUID_H
#define LIB_BASE_UUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UUID_TEXT_SIZE = 37 };

/* From getrandom(2); aborts if the kernel has no randomness to give, which it always has after
 * boot. */
void uuid_random(char out_text[UUID_TEXT_SIZE]);
/* A version 5 UUID (RFC 4122, section 4.3, without a name space) of `n` strings: the same of the
 * same. */
void uuid_derive(const char *const *names, size_t n, char out_text[UUID_TEXT_SIZE]);
void uuid_format(const uint8_t bytes[16], char out_text[UUID_TEXT_SIZE]);
/* True for exactly the form above. */
bool uuid_valid(const char *text);
/* The one that the kernel gives each boot; 0, or -errno. */
int uuid_of_boot(char out_text[UUID_TEXT_SIZE]);

#endif
