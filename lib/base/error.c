/*
 * The error value. Nothing here can fail: when memory runs out, a blocker is dropped and the rest
 * of the error stands.
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void err_clear(struct err *err)
{
    if (!err)
        return;
    for (size_t i = 0; i < err->n_blockers; i++)
        free(err->blockers[i]);
    free(err->blockers);
    *err = (struct err){0};
}

static int fill(struct err *err, enum err_code code, int os_errno, const char *object,
                const char *fmt, va_list ap)
{
    if (!err)
        return -(int)code;
    /* The arguments may point into the error that is being replaced: print first, clear after. */
    struct err fresh = {.code = code, .os_errno = os_errno};
    (void)snprintf(fresh.object, sizeof fresh.object, "%s", object ? object : "");
    (void)vsnprintf(fresh.message, sizeof fresh.message, fmt, ap);
    err_clear(err);
    *err = fresh;
    return -(int)code;
}

int err_set(struct err *err, enum err_code code, int os_errno, const char *object, const char *fmt,
            ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = fill(err, code, os_errno, object, fmt, ap);
    va_end(ap);
    return rc;
}

bool err_is_want(int os_errno)
{
    return os_errno == ENOMEM || os_errno == EMFILE || os_errno == ENFILE;
}

static enum err_code code_of_errno(int os_errno)
{
    static const struct {
        int os_errno;
        enum err_code code;
    } table[] = {
        {EINVAL, ERR_INVALID_ARGUMENT},
        {ENOENT, ERR_NOT_FOUND},
        {ENODEV, ERR_NOT_FOUND},
        {EEXIST, ERR_ALREADY_EXISTS},
        {EPERM, ERR_PERMISSION_DENIED},
        {EACCES, ERR_PERMISSION_DENIED},
        {ENOSPC, ERR_RESOURCE_EXHAUSTED},
        {EDQUOT, ERR_RESOURCE_EXHAUSTED},
        {ENOMEM, ERR_RESOURCE_EXHAUSTED},
        {EMFILE, ERR_RESOURCE_EXHAUSTED},
        {ENFILE, ERR_RESOURCE_EXHAUSTED},
        {EBUSY, ERR_FAILED_PRECONDITION},
        {EROFS, ERR_FAILED_PRECONDITION},
        {ENOTEMPTY, ERR_FAILED_PRECONDITION},
        {ETIMEDOUT, ERR_DEADLINE_EXCEEDED},
        {ECONNREFUSED, ERR_UNAVAILABLE},
        {ECONNRESET, ERR_UNAVAILABLE},
        {EPIPE, ERR_UNAVAILABLE},
        {EAGAIN, ERR_UNAVAILABLE},
        {EOPNOTSUPP, ERR_UNIMPLEMENTED},
        {ENOSYS, ERR_UNIMPLEMENTED},
        {EUCLEAN, ERR_DATA_LOSS},
        {ECANCELED, ERR_CANCELLED},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].os_errno == os_errno)
            return table[i].code;
    return ERR_INTERNAL;
}

int err_errno(struct err *err, int os_errno, const char *object, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = fill(err, code_of_errno(os_errno), os_errno, object, fmt, ap);
    va_end(ap);
    if (err) {
        size_t used = strlen(err->message);
        (void)snprintf(err->message + used, sizeof err->message - used, ": %s", strerror(os_errno));
    }
    return rc;
}

void err_hint(struct err *err, const char *fmt, ...)
{
    if (!err)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
}

void err_blocker(struct err *err, const char *fmt, ...)
{
    if (!err)
        return;
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int length = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (length < 0)
        return;
    char **grown = reallocarray(err->blockers, err->n_blockers + 1, sizeof *grown);
    if (!grown) {
        free(text);
        return;
    }
    err->blockers = grown;
    err->blockers[err->n_blockers++] = text;
}

void err_retryable(struct err *err, uint32_t after_ms)
{
    if (!err)
        return;
    err->retryable = true;
    err->retry_after_ms = after_ms;
}

void err_copy(struct err *to, const struct err *from)
{
    if (!to)
        return;
    err_clear(to);
    *to = *from;
    to->blockers = NULL;
    to->n_blockers = 0;
    for (size_t i = 0; i < from->n_blockers; i++)
        err_blocker(to, "%s", from->blockers[i]);
}

void err_move(struct err *to, struct err *from)
{
    if (to) {
        err_clear(to);
        *to = *from;
        *from = (struct err){0};
    } else {
        err_clear(from);
    }
}

const char *err_code_name(enum err_code code)
{
    static const char *const names[] = {
        [ERR_OK] = "OK",
        [ERR_CANCELLED] = "CANCELLED",
        [ERR_UNKNOWN] = "UNKNOWN",
        [ERR_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
        [ERR_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
        [ERR_NOT_FOUND] = "NOT_FOUND",
        [ERR_ALREADY_EXISTS] = "ALREADY_EXISTS",
        [ERR_PERMISSION_DENIED] = "PERMISSION_DENIED",
        [ERR_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
        [ERR_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
        [ERR_ABORTED] = "ABORTED",
        [ERR_OUT_OF_RANGE] = "OUT_OF_RANGE",
        [ERR_UNIMPLEMENTED] = "UNIMPLEMENTED",
        [ERR_INTERNAL] = "INTERNAL",
        [ERR_UNAVAILABLE] = "UNAVAILABLE",
        [ERR_DATA_LOSS] = "DATA_LOSS",
        [ERR_UNAUTHENTICATED] = "UNAUTHENTICATED",
    };
    return (size_t)code < sizeof names / sizeof *names ? names[code] : "UNKNOWN";
}
