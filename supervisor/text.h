/* Words of workers, made fit for a reply: protobuf strings are UTF-8, and people read them. */
#ifndef SUPERVISOR_TEXT_H
#define SUPERVISOR_TEXT_H

#include <stddef.h>

/*
 * Copies what fits `size` with its terminator, never cutting a character; control characters and
 * bytes that are no UTF-8 (RFC 3629) become '?'.
 */
void text_copy(char *out, size_t size, const char *bytes, size_t length);

#endif
