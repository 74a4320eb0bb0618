/*
 * Errors: one value that says what went wrong, with which object, and what to do about it.
 *
 * An error is made once, where the object is known, carried up unchanged, and logged or sent once
 * at the top. Functions that can fail return 0 or a negative `enum err_code`, and take a last
 * argument `struct err *err` when they can say more; `err` may be NULL. Codes have the numbers of
 * gRPC's canonical ones, and so of storage.v1.Code.
 */
#ifndef LIB_BASE_ERROR_H
#define LIB_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum err_code {
    ERR_OK = 0,
    ERR_CANCELLED = 1,
    ERR_UNKNOWN = 2,
    ERR_INVALID_ARGUMENT = 3,
    ERR_DEADLINE_EXCEEDED = 4,
    ERR_NOT_FOUND = 5,
    ERR_ALREADY_EXISTS = 6,
    ERR_PERMISSION_DENIED = 7,
    ERR_RESOURCE_EXHAUSTED = 8,
    ERR_FAILED_PRECONDITION = 9,
    ERR_ABORTED = 10,
    ERR_OUT_OF_RANGE = 11,
    ERR_UNIMPLEMENTED = 12,
    ERR_INTERNAL = 13,
    ERR_UNAVAILABLE = 14,
    ERR_DATA_LOSS = 15,
    ERR_UNAUTHENTICATED = 16,
};

enum {
    ERR_OBJECT_MAX = 160,
    ERR_MESSAGE_MAX = 512,
    ERR_HINT_MAX = 256,
};

/* Zero-initialise before use; err_clear() when done (it owns the blockers). Texts are always
 * terminated. */
struct err {
    enum err_code code;
    int os_errno;
    char object[ERR_OBJECT_MAX];
    char message[ERR_MESSAGE_MAX];
    char hint[ERR_HINT_MAX];
    bool retryable;
    uint32_t retry_after_ms;
    char **blockers;
    size_t n_blockers;
};

/*
 * Fills `err` (what it held is cleared first) and returns -code, so that a failing function can end
 * with `return err_set(err, ERR_NOT_FOUND, 0, id, "no space has this id")`. `os_errno` is a
 * positive errno, or 0; its text is not added to the message by itself: use err_errno() for that.
 * `object` may be NULL.
 */
int err_set(struct err *err, enum err_code code, int os_errno, const char *object, const char *fmt,
            ...) __attribute__((format(printf, 5, 6)));

/* Whether it tells of want in this process, of memory or descriptors, and nothing of the object. */
bool err_is_want(int os_errno);

/* As err_set(), with ": <strerror>" appended, and the code that fits the errno (ENOSPC:
 * RESOURCE_EXHAUSTED, …). */
int err_errno(struct err *err, int os_errno, const char *object, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Adds a hint, a blocker (copied), or the mark that a retry may succeed. All accept NULL for `err`.
 */
void err_hint(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_blocker(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_retryable(struct err *err, uint32_t after_ms);

/* Deep copy; `to` is cleared first. Move leaves `from` empty. Clear accepts NULL and may be used as
 * a cleanup function. */
void err_copy(struct err *to, const struct err *from);
void err_move(struct err *to, struct err *from);
void err_clear(struct err *err);

/* "NOT_FOUND" */
const char *err_code_name(enum err_code code);

#endif
