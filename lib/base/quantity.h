/*
 * Quantities as people write and read them: sizes in bytes with K, M, G, T (powers of 1024), times
 * with ms, s, m. Parsers take the whole text or nothing: no sign, no blank, no fraction; they
 * return -ERR_INVALID_ARGUMENT for what is not such a quantity or does not fit.
 */
#ifndef LIB_BASE_QUANTITY_H
#define LIB_BASE_QUANTITY_H

#include <stdint.h>

enum { QUANTITY_TEXT_SIZE = 24 };

/* "1234" */
int quantity_parse_u64(const char *text, uint64_t *out_value);
/* "1234", "64K", "1G"; small letters too */
int quantity_parse_size(const char *text, uint64_t *out_bytes);
/* "500ms", "30s", "2m"; the unit is required */
int quantity_parse_ms(const char *text, uint32_t *out_ms);

/* The shortest text that parses to exactly this size: "20G", "1500". */
const char *quantity_format_exact(uint64_t bytes, char out_text[QUANTITY_TEXT_SIZE]);
/* For reading: one decimal below 10 of a unit, rounded to the nearest: "1.5G", "20G", "512". */
const char *quantity_format_human(uint64_t bytes, char out_text[QUANTITY_TEXT_SIZE]);

#endif
