/*
 * The log line: built on the stack, written once. No locks, no allocation, usable from any thread.
 */
#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *log_process = "?";
static enum log_level log_least = LOG_INFO;

static const char *const level_names[] = {"debug", "info", "warning", "error"};

struct line {
    char text[LOG_LINE_MAX];
    size_t used;
    bool cut;
};

void log_init(const char *process, enum log_level least)
{
    log_process = process;
    log_least = least;
}

int log_level_parse(const char *text, enum log_level *out_level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *out_level = (enum log_level)i;
            return 0;
        }
    }
    return -ERR_INVALID_ARGUMENT;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

static void put(struct line *line, const char *text, size_t length)
{
    static const char mark[] = "…\n";
    size_t room = sizeof line->text - line->used - sizeof mark;
    if (length > room) {
        length = room;
        line->cut = true;
    }
    memcpy(line->text + line->used, text, length);
    line->used += length;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static bool needs_quotes(const char *value)
{
    if (!*value)
        return true;
    for (const unsigned char *p = (const unsigned char *)value; *p; p++)
        if (*p <= ' ' || *p == '"' || *p == '=' || *p == '\\' || *p == 0x7f)
            return true;
    return false;
}

static void put_value(struct line *line, const char *value)
{
    if (!needs_quotes(value)) {
        put_text(line, value);
        return;
    }
    put_text(line, "\"");
    for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
        char escaped[5];
        if (*p == '"' || *p == '\\') {
            (void)snprintf(escaped, sizeof escaped, "\\%c", *p);
            put_text(line, escaped);
        } else if (*p == '\n') {
            put_text(line, "\\n");
        } else if (*p < ' ' || *p == 0x7f) {
            (void)snprintf(escaped, sizeof escaped, "\\x%02x", *p);
            put_text(line, escaped);
        } else {
            put(line, (const char *)p, 1);
        }
    }
    put_text(line, "\"");
}

static void put_pair(struct line *line, const char *key, const char *value)
{
    put_text(line, " ");
    put_text(line, key);
    put_text(line, "=");
    put_value(line, value);
}

static void line_begin(struct line *line, enum log_level level, const char *msg)
{
    struct timespec now;
    struct tm utc;
    char stamp[64];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(stamp + n, sizeof stamp - n, ".%03ldZ ", now.tv_nsec / 1000000);
    line->used = 0;
    line->cut = false;
    put_text(line, stamp);
    put_text(line, level_names[level]);
    put_text(line, " ");
    put_text(line, log_process);
    put_pair(line, "msg", msg);
}

static void line_end(struct line *line)
{
    const char *mark = line->cut ? "…\n" : "\n";
    size_t length = strlen(mark);
    memcpy(line->text + line->used, mark, length);
    (void)!write(STDERR_FILENO, line->text, line->used + length);
}

void log_line(enum log_level level, const char *msg, ...)
{
    if (level < log_least)
        return;
    struct line line;
    line_begin(&line, level, msg);
    va_list ap;
    va_start(ap, msg);
    for (const char *key; (key = va_arg(ap, const char *));) {
        const char *value = va_arg(ap, const char *);
        if (value)
            put_pair(&line, key, value);
    }
    va_end(ap);
    line_end(&line);
}

void log_err(enum log_level level, const char *msg, const struct err *err)
{
    if (level < log_least)
        return;
    struct line line;
    line_begin(&line, level, msg);
    put_pair(&line, "code", err_code_name(err->code));
    if (err->os_errno)
        put_pair(&line, "errno", log_i64(err->os_errno));
    if (*err->object)
        put_pair(&line, "object", err->object);
    put_pair(&line, "error", err->message);
    if (*err->hint)
        put_pair(&line, "hint", err->hint);
    for (size_t i = 0; i < err->n_blockers; i++)
        put_pair(&line, "blocker", err->blockers[i]);
    line_end(&line);
}

const char *log_format_u64(char buffer[24], uint64_t value)
{
    (void)snprintf(buffer, 24, "%" PRIu64, value);
    return buffer;
}

const char *log_format_i64(char buffer[24], int64_t value)
{
    (void)snprintf(buffer, 24, "%" PRId64, value);
    return buffer;
}

void log_fatal(const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    log_error("broken invariant", "what", text);
    abort();
}
