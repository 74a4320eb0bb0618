/*
 * The command line: `storagectl [flags] NOUN [VERB] [flags] [arguments]`. Global flags may stand
 * anywhere, a verb's own ones after the verb; "--flag value" and "--flag=value" are the same; "--"
 * ends the flags.
 */
#include "command.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "rpc/server.h"
#include "value.h"

#include <stdarg.h>
#include <string.h>

enum { TIMEOUT_DEFAULT_MS = 30000 };

const struct flag global_flags[] = {
    {"run-dir", "DIR", "storaged's run directory; $STORAGED_RUN_DIR, else /run/storaged"},
    {"timeout", "TIME",
     "how long a call may take, and a worker be waited for: 500ms, 30s, 2m; 30s"},
    {"json", NULL, "print JSON; errors too"},
    {"request-id", "ID", "names a change, so that a retry finds what the first try did"},
    {"help", NULL, "print this, or with a noun its verbs"},
    {"version", NULL, "print the version"},
    {0},
};

const struct command *const commands[] = {
    &command_status,   &command_disk,  &command_pool,      &command_space, &command_booking,
    &command_capacity, &command_cache, &command_namespace, &command_zdb,   &command_events,
    &command_worker,   &command_ready, &command_shutdown,  NULL,
};

static int usage(struct err *err, const struct session *session, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int usage(struct err *err, const struct session *session, const char *fmt, ...)
{
    char text[ERR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    int rc = err_set(err, ERR_INVALID_ARGUMENT, 0, NULL, "%s", text);
    const char *noun = session->command ? session->command->noun : "";
    err_hint(err, "see `storagectl %s%s--help`", noun, *noun ? " " : "");
    return rc;
}

/* --- words ----------------------------------------------------------------------------------- */

static int take_noun(struct session *session, const char *word, struct err *err)
{
    for (const struct command *const *command = commands; *command; command++)
        if (strcmp((*command)->noun, word) == 0)
            session->command = *command;
    if (!session->command)
        return usage(err, session, "there is no noun \"%s\"", word);
    if (!session->command->verbs[0].name)
        session->verb = &session->command->verbs[0];
    return 0;
}

static int take_verb(struct session *session, const char *word, struct err *err)
{
    for (const struct verb *verb = session->command->verbs; verb->run; verb++)
        if (strcmp(verb->name, word) == 0)
            session->verb = verb;
    return session->verb
               ? 0
               : usage(err, session, "%s has no verb \"%s\"", session->command->noun, word);
}

static int take_word(struct session *session, const char *word, struct err *err)
{
    if (!session->command)
        return take_noun(session, word, err);
    if (!session->verb)
        return take_verb(session, word, err);
    if (session->n_args >= session->verb->max_args || session->n_args == COMMAND_ARGS_MAX)
        return usage(err, session, "\"%s\" is one argument too many", word);
    session->args[session->n_args++] = word;
    return 0;
}

/* --- flags ----------------------------------------------------------------------------------- */

static const struct flag *find_flag(const struct flag *flags, const char *name, size_t length)
{
    for (; flags && flags->name; flags++)
        if (strlen(flags->name) == length && strncmp(flags->name, name, length) == 0)
            return flags;
    return NULL;
}

static int set_timeout(struct session *session, const char *value, struct err *err)
{
    uint32_t ms;
    if (quantity_parse_ms(value, &ms) < 0 || ms == 0 || ms > RPC_DEADLINE_MAX_MS)
        return usage(err, session,
                     "--timeout takes a time up to 60m, as in 500ms or 30s; not \"%s\"", value);
    session->timeout_ms = ms;
    session->timeout_given = true;
    return 0;
}

static int set_global(struct session *session, const struct flag *flag, const char *value,
                      struct err *err)
{
    if (strcmp(flag->name, "run-dir") == 0)
        session->run_dir = value;
    else if (strcmp(flag->name, "request-id") == 0)
        session->request_id = value;
    else if (strcmp(flag->name, "json") == 0)
        session->json = true;
    else if (strcmp(flag->name, "help") == 0)
        session->help = true;
    else if (strcmp(flag->name, "version") == 0)
        session->version = true;
    else
        return set_timeout(session, value, err);
    return 0;
}

/* argv[0] is a flag; how many arguments it took, or negative. */
static int take_flag(struct session *session, char **argv, struct err *err)
{
    const char *name = argv[0] + 2, *equals = strchrnul(name, '=');
    size_t length = (size_t)(equals - name);
    const struct flag *flag = find_flag(global_flags, name, length);
    bool global = flag;
    if (!flag && session->verb)
        flag = find_flag(session->verb->flags, name, length);
    if (!flag)
        return usage(err, session, "there is no flag --%.*s%s", (int)length, name,
                     session->verb ? " here" : "");
    int taken = flag->value && !*equals ? 2 : 1;
    const char *value = *equals ? equals + 1 : taken == 2 ? argv[1] : "";
    if (!value || (flag->value && !*value && global))
        return usage(err, session, "--%s takes a value: %s", flag->name, flag->value);
    if (!flag->value && *equals)
        return usage(err, session, "--%s takes no value", flag->name);
    if (!global && session->n_flags == COMMAND_FLAGS_MAX)
        return usage(err, session, "too many flags");
    if (!global)
        session->flags[session->n_flags++] = (struct given_flag){flag, value};
    int rc = global ? set_global(session, flag, value, err) : 0;
    return rc < 0 ? rc : taken;
}

static int check_complete(const struct session *session, struct err *err)
{
    if (session->help || session->version)
        return 0;
    if (!session->command)
        return usage(err, session, "say what about: a noun, and mostly a verb");
    if (!session->verb)
        return usage(err, session, "say what to do with %s", session->command->noun);
    if (session->n_args < session->verb->min_args)
        return usage(err, session, "it takes %s", session->verb->args);
    return 0;
}

int session_parse(struct session *session, int argc, char **argv, struct err *err)
{
    bool flags_over = false;
    session->timeout_ms = TIMEOUT_DEFAULT_MS;
    for (int i = 1; i < argc;) {
        int taken = 1;
        if (!flags_over && strcmp(argv[i], "--") == 0)
            flags_over = true;
        else if (!flags_over && strncmp(argv[i], "--", 2) == 0)
            taken = take_flag(session, argv + i, err);
        else if (!flags_over && argv[i][0] == '-' && argv[i][1])
            taken = usage(err, session, "flags have two dashes, unlike \"%s\"", argv[i]);
        else if (take_word(session, argv[i], err) < 0)
            taken = -ERR_INVALID_ARGUMENT;
        if (taken < 0)
            return taken;
        i += taken;
    }
    return check_complete(session, err);
}

/* --- values ---------------------------------------------------------------------------------- */

const char *session_flag(const struct session *session, const char *name)
{
    const char *value = NULL;
    for (unsigned i = 0; i < session->n_flags; i++)
        if (strcmp(session->flags[i].flag->name, name) == 0)
            value = session->flags[i].value;
    return value;
}

int session_flag_size(const struct session *session, const char *name, uint64_t *out_bytes,
                      struct err *err)
{
    const char *text = session_flag(session, name);
    if (!text || quantity_parse_size(text, out_bytes) == 0)
        return 0;
    return usage(err, session, "--%s takes a size, as in 512M or 1G; not \"%s\"", name, text);
}

int session_flag_ms(const struct session *session, const char *name, uint32_t *out_ms,
                    struct err *err)
{
    const char *text = session_flag(session, name);
    if (!text || (quantity_parse_ms(text, out_ms) == 0 && *out_ms > 0))
        return 0;
    return usage(err, session, "--%s takes a time, as in 500ms or 30s; not \"%s\"", name, text);
}

int session_flag_u32(const struct session *session, const char *name, int base, uint32_t *out_value,
                     struct err *err)
{
    const char *text = session_flag(session, name);
    if (!text)
        return 0;
    char *end;
    size_t digits = strspn(text, base == 8 ? "01234567" : "0123456789");
    unsigned long long value = digits ? strtoull(text, &end, base) : 0;
    if (digits == 0 || digits > 12 || text[digits] || value > UINT32_MAX)
        return usage(err, session, "--%s takes %s, not \"%s\"", name,
                     base == 8 ? "octal digits" : "a number", text);
    *out_value = (uint32_t)value;
    return 0;
}

int session_parse_type(const char *text, Storage__V1__DiskType *out_type, struct err *err)
{
    int number;
    if (value_enum_parse(&storage__v1__disk_type__descriptor, text, &number) < 0)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "type",
                       "a disk type is ssd, hdd or unknown; not \"%s\"", text);
    *out_type = (Storage__V1__DiskType)number;
    return 0;
}

int session_check_yes(const struct session *session, struct err *err)
{
    if (session_flag(session, "yes"))
        return 0;
    return err_set(err, ERR_INVALID_ARGUMENT, 0, session->args[0],
                   "all data on %s would be lost: say --yes if you mean it", session->args[0]);
}
