/*
 * Logs: one line per event on stderr, key=value, meant for people and grep.
 *
 *   2026-01-31T12:00:00.123Z info poold msg="space reserved" space=5c1d… pool=9f2a…
 * size_bytes=1073741824
 *
 * A line is one write(2), at most LOG_LINE_MAX bytes (cut with "…" past that), safe from any
 * thread. Values are quoted when they hold a space, a quote, '=' or a control character; control
 * characters are escaped, so that a hostile label cannot forge a line.
 */
#ifndef LIB_BASE_LOG_H
#define LIB_BASE_LOG_H

#include "base/error.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

enum { LOG_LINE_MAX = 2048 };

/* `process` (borrowed for ever) names who speaks. Call before the first thread. */
void log_init(const char *process, enum log_level least);

/* Parses "debug", "info", "warning", "error"; returns -ERR_INVALID_ARGUMENT for anything else. */
int log_level_parse(const char *text, enum log_level *out_level);
const char *log_level_name(enum log_level level);

/*
 * log_line(LOG_INFO, "pool mounted", "pool", fsid, "path", path, NULL): pairs of key and value
 * strings, then NULL. A NULL value skips its pair. Use the macros.
 */
void log_line(enum log_level level, const char *msg, ...) __attribute__((sentinel));

/* Logs an error at its top: code, errno, object, message, hint and blockers as pairs. */
void log_err(enum log_level level, const char *msg, const struct err *err);

#define log_debug(...)   log_line(LOG_DEBUG, __VA_ARGS__, (char *)NULL)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__, (char *)NULL)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__, (char *)NULL)
#define log_error(...)   log_line(LOG_ERROR, __VA_ARGS__, (char *)NULL)

/* A number as a value: log_info("…", "size_bytes", log_u64(size)). The text lives until the end of
 * the full expression's enclosing block. */
#define log_u64(value) log_format_u64((char[24]){0}, (uint64_t)(value))
#define log_i64(value) log_format_i64((char[24]){0}, (int64_t)(value))
const char *log_format_u64(char buffer[24], uint64_t value);
const char *log_format_i64(char buffer[24], int64_t value);

/* A broken invariant: logs at error level and aborts. */
_Noreturn void log_fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
