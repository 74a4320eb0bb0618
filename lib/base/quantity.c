/* Quantities in words; see the header. */
#include "base/quantity.h"

#include "base/error.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char size_units[] = "KMGT";

/* Reads digits; `out_rest` is what follows them. */
static int parse_digits(const char *text, uint64_t *out_value, const char **out_rest)
{
    uint64_t value = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return -ERR_INVALID_ARGUMENT;
    if (p == text)
        return -ERR_INVALID_ARGUMENT;
    *out_value = value;
    *out_rest = p;
    return 0;
}

int quantity_parse_u64(const char *text, uint64_t *out_value)
{
    uint64_t value;
    const char *rest;
    if (parse_digits(text, &value, &rest) < 0 || *rest)
        return -ERR_INVALID_ARGUMENT;
    *out_value = value;
    return 0;
}

int quantity_parse_size(const char *text, uint64_t *out_bytes)
{
    uint64_t value;
    const char *rest;
    if (parse_digits(text, &value, &rest) < 0)
        return -ERR_INVALID_ARGUMENT;
    if (*rest) {
        const char *unit = strchr(size_units, toupper((unsigned char)*rest));
        if (!unit || rest[1] ||
            __builtin_mul_overflow(value, (uint64_t)1 << (10 * (unit - size_units + 1)), &value))
            return -ERR_INVALID_ARGUMENT;
    }
    *out_bytes = value;
    return 0;
}

int quantity_parse_ms(const char *text, uint32_t *out_ms)
{
    static const struct {
        const char *name;
        uint32_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}};
    uint64_t value;
    const char *rest;
    if (parse_digits(text, &value, &rest) < 0)
        return -ERR_INVALID_ARGUMENT;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(rest, units[i].name) != 0)
            continue;
        if (__builtin_mul_overflow(value, units[i].ms, &value) || value > UINT32_MAX)
            return -ERR_INVALID_ARGUMENT;
        *out_ms = (uint32_t)value;
        return 0;
    }
    return -ERR_INVALID_ARGUMENT;
}

const char *quantity_format_exact(uint64_t bytes, char out_text[QUANTITY_TEXT_SIZE])
{
    char unit[2] = "";
    for (const char *u = size_units; *u && bytes && bytes % 1024 == 0; u++, bytes /= 1024)
        unit[0] = *u;
    (void)snprintf(out_text, QUANTITY_TEXT_SIZE, "%" PRIu64 "%s", bytes, unit);
    return out_text;
}

const char *quantity_format_human(uint64_t bytes, char out_text[QUANTITY_TEXT_SIZE])
{
    size_t unit = 0;
    double value = (double)bytes;
    for (; size_units[unit] && value >= 1023.5; unit++)
        value /= 1024;
    if (unit == 0) {
        (void)snprintf(out_text, QUANTITY_TEXT_SIZE, "%" PRIu64, bytes);
        return out_text;
    }
    (void)snprintf(out_text, QUANTITY_TEXT_SIZE, value < 9.95 ? "%.1f%c" : "%.0f%c", value,
                   size_units[unit - 1]);
    return out_text;
}
