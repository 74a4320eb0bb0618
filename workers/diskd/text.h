/* Text from outside: labels, models and serials are whatever somebody once wrote there. */
#ifndef DISKD_TEXT_H
#define DISKD_TEXT_H

#include <stddef.h>

/*
 * Copies at most `length` bytes, up to the first NUL, without the blanks around; what is not
 * printable UTF-8 becomes '?'. A text that is too long is cut between characters. Always
 * terminated; `size` is at least 1.
 */
void text_clean(char *out, size_t size, const void *raw, size_t length);

#endif
