/* The help, all of it from the tables. */
#include "command.h"

#include <string.h>

enum { COLUMN = 36 };

static const char exit_codes[] =
    "Exit codes:\n"
    "  0  done\n"
    "  1  a bug, lost data, or something unknown (INTERNAL, DATA_LOSS, UNKNOWN, CANCELLED)\n"
    "  2  wrong use, or a request that can never work (INVALID_ARGUMENT)\n"
    "  3  no such thing (NOT_FOUND)\n"
    "  4  refused as things stand (ALREADY_EXISTS, FAILED_PRECONDITION, ABORTED)\n"
    "  5  no room (RESOURCE_EXHAUSTED, OUT_OF_RANGE)\n"
    "  6  not allowed (PERMISSION_DENIED, UNAUTHENTICATED)\n"
    "  7  not now: try again (UNAVAILABLE, DEADLINE_EXCEEDED)\n"
    "  8  not possible so far (UNIMPLEMENTED)\n";

static void print_flags(const struct flag *flags, const char *indent, FILE *out)
{
    for (; flags && flags->name; flags++) {
        char text[64];
        (void)snprintf(text, sizeof text, "%s--%s%s%s", indent, flags->name,
                       flags->value ? " " : "", flags->value ? flags->value : "");
        (void)fprintf(out, "%-*s  %s\n", COLUMN, text, flags->help);
    }
}

static void print_verb(const struct command *command, const struct verb *verb, FILE *out)
{
    char text[96];
    (void)snprintf(text, sizeof text, "  %s%s%s%s%s", command->noun, verb->name ? " " : "",
                   verb->name ? verb->name : "", verb->args ? " " : "",
                   verb->args ? verb->args : "");
    (void)fprintf(out, "%-*s  %s\n", COLUMN, text, verb->help);
}

void help_print(const struct command *command, FILE *out)
{
    (void)fprintf(out, "Usage: storagectl [flags] %s %s[flags] [arguments]\n\n",
                  command ? command->noun : "NOUN",
                  !command || command->verbs[0].name ? "VERB " : "");
    if (command)
        (void)fprintf(out, "%s\n\n", command->help);
    for (const struct command *const *known = commands; *known; known++) {
        if (command && command != *known)
            continue;
        for (const struct verb *verb = (*known)->verbs; verb->run; verb++) {
            print_verb(*known, verb, out);
            if (command)
                print_flags(verb->flags, "      ", out);
        }
    }
    (void)fputs("\nFlags:\n", out);
    print_flags(global_flags, "  ", out);
    (void)fprintf(out, "\n%s", exit_codes);
}
