/* Errors, told once, at the top: in words, as JSON, and as the exit code. */
#include "command.h"

#include "base/cleanup.h"
#include "text.h"

#include <string.h>

int report_exit_code(enum err_code code)
{
    static const int codes[] = {
        [ERR_OK] = 0,
        [ERR_CANCELLED] = 1,
        [ERR_UNKNOWN] = 1,
        [ERR_INVALID_ARGUMENT] = 2,
        [ERR_DEADLINE_EXCEEDED] = 7,
        [ERR_NOT_FOUND] = 3,
        [ERR_ALREADY_EXISTS] = 4,
        [ERR_PERMISSION_DENIED] = 6,
        [ERR_RESOURCE_EXHAUSTED] = 5,
        [ERR_FAILED_PRECONDITION] = 4,
        [ERR_ABORTED] = 4,
        [ERR_OUT_OF_RANGE] = 5,
        [ERR_UNIMPLEMENTED] = 8,
        [ERR_INTERNAL] = 1,
        [ERR_UNAVAILABLE] = 7,
        [ERR_DATA_LOSS] = 1,
        [ERR_UNAUTHENTICATED] = 6,
    };
    return (size_t)code < array_length(codes) ? codes[code] : 1;
}

static void print_line(const char *before, const char *text)
{
    (void)fputs(before, stderr);
    text_print(text, stderr);
    (void)fputc('\n', stderr);
}

static void report_json(const struct session *session, const struct err *err)
{
    struct json json = {.out = session->out};
    json_open(&json, NULL, '{');
    json_open(&json, "error", '{');
    json_text(&json, "code", err_code_name(err->code));
    json_text(&json, "message", err->message);
    json_text(&json, "object", err->object);
    json_i64(&json, "os_errno", err->os_errno);
    json_text(&json, "hint", err->hint);
    json_bool(&json, "retryable", err->retryable);
    json_u64(&json, "retry_after_ms", err->retry_after_ms);
    json_open(&json, "blockers", '[');
    for (size_t i = 0; i < err->n_blockers; i++)
        json_text(&json, NULL, err->blockers[i]);
    json_close(&json, '[');
    json_close(&json, '{');
    json_close(&json, '{');
}

void report_error(const struct session *session, const struct err *err)
{
    const struct verb *verb = session->verb;
    (void)fputs("storagectl: ", stderr);
    if (verb)
        (void)fprintf(stderr, "%s%s%s: ", session->command->noun, verb->name ? " " : "",
                      verb->name ? verb->name : "");
    if (*err->object && !strstr(err->message, err->object)) {
        text_print(err->object, stderr);
        (void)fputs(": ", stderr);
    }
    print_line("", err->message);
    for (size_t i = 0; i < err->n_blockers; i++)
        print_line("  - ", err->blockers[i]);
    if (*err->hint)
        print_line("  hint: ", err->hint);
    if (session->json)
        report_json(session, err);
}
