/* UTF-8, as protobuf's strings must be. */
#ifndef LIB_BASE_UTF8_H
#define LIB_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Strict: no overlong forms, no surrogates, at most U+10FFFF. A NUL byte is a character. */
bool utf8_valid(const void *text, size_t length);

/* Puts '?' in the place of each byte that belongs to no character. */
void utf8_scrub(void *text, size_t length);

#endif
