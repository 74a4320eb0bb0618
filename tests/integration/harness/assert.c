/* Assertions on errors, which print all of what the error says. */
#include "private.h"

#include <stdio.h>

static void err_print(const struct err *err)
{
    print_error("  %s: %s: %s (errno %d)\n", err_code_name(err->code), err->object, err->message,
                err->os_errno);
    if (err->hint[0])
        print_error("  hint: %s\n", err->hint);
    for (size_t i = 0; i < err->n_blockers; i++)
        print_error("  blocker: %s\n", err->blockers[i]);
}

void harness_assert_ok(int rc, const struct err *err, const char *file, int line)
{
    if (rc == 0)
        return;
    print_error("%s:%d: failed with %d\n", file, line, rc);
    if (err)
        err_print(err);
    _fail(file, line);
}

static bool err_says(const struct err *err, const char *text)
{
    if (strstr(err->message, text) || strstr(err->hint, text))
        return true;
    for (size_t i = 0; i < err->n_blockers; i++)
        if (strstr(err->blockers[i], text))
            return true;
    return false;
}

void harness_assert_refused(int rc, const struct err *err, enum err_code code, const char *text,
                            const char *file, int line)
{
    if (rc == -(int)code && err_says(err, text))
        return;
    print_error("%s:%d: expected %s saying \"%s\", got %d\n", file, line, err_code_name(code), text,
                rc);
    if (rc != 0)
        err_print(err);
    _fail(file, line);
}
