/*
 * Text that others wrote (labels, names, reasons), made fit to be printed. A terminal obeys control
 * characters, and directional ones make a line read as another: all of them are escaped, and so is
 * what is not UTF-8.
 */
#ifndef STORAGECTL_TEXT_H
#define STORAGECTL_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { TEXT_INVALID = -1 };

/* Decodes the character at *text and moves past it. A byte that begins no valid UTF-8 sequence
 * gives TEXT_INVALID, and is passed alone. Not at the terminating NUL. */
int32_t text_next(const char **text);

/* As `\x1b`, `\u202e`, `\xff`. Everything else stays as it is. */
void text_print(const char *text, FILE *out);
/* The same, allocated; NULL without memory. */
char *text_escape(const char *text);

#endif
