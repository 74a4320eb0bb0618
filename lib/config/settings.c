/*
 * The settings as a whole: defaults first, then the file, then flags. Everything but the flags'
 * names comes from the table.
 */
#include "config/settings.h"

#include "base/cleanup.h"
#include "file.h"
#include "table.h"

#include <errno.h>
#include <string.h>

#define DEFAULT_PATH "/etc/storaged/storaged.conf"

enum { SECTION_MAX = 32 };

void settings_free(struct settings *settings)
{
    if (!settings)
        return;
    for (size_t i = 0; i < settings_table_length; i++)
        if (settings_table[i].type->free)
            settings_table[i].type->free(setting_field(&settings_table[i], settings));
    free(settings->path);
    free(settings);
}

static void settings_cleanup(struct settings **settings)
{
    settings_free(*settings);
}

static int set_defaults(struct settings *settings, struct err *err)
{
    for (size_t i = 0; i < settings_table_length; i++) {
        const struct setting *setting = &settings_table[i];
        int rc = settings_set(settings, setting->section, setting->key, setting->value,
                              "the default", err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- flags ----------------------------------------------------------------------------------- */

struct flags {
    const char *config; /* NULL: not given */
    char **sets;        /* as they stood; borrowed */
    int n_sets;
};

/*
 * If argv[i] is `flag`, its value: what follows '=', or the next argument. Returns how many
 * arguments it took, 0 if it is something else.
 */
static int match_flag(int argc, char **argv, int i, const char *flag, char **out_value)
{
    size_t length = strlen(flag);
    if (strncmp(argv[i], flag, length) != 0)
        return 0;
    if (argv[i][length] == '=') {
        *out_value = argv[i] + length + 1;
        return 1;
    }
    if (argv[i][length] != '\0')
        return 0;
    *out_value = i + 1 < argc ? argv[i + 1] : NULL;
    return 2;
}

/* Takes the shared flags out of argv; those after "--" are none. */
static int take_flags(int *argc, char **argv, struct flags *flags, struct err *err)
{
    int kept = 1, rc = 0, i = 1;
    while (i < *argc && strcmp(argv[i], "--") != 0) {
        char *value = NULL;
        int taken = match_flag(*argc, argv, i, "--config", &value);
        if (taken) {
            flags->config = value;
        } else if ((taken = match_flag(*argc, argv, i, "--set", &value))) {
            flags->sets[flags->n_sets++] = value;
        } else {
            argv[kept++] = argv[i++];
            continue;
        }
        if (!value) {
            rc = err_set(err, ERR_INVALID_ARGUMENT, 0, argv[i], "%s needs a value", argv[i]);
            break;
        }
        i += taken;
    }
    if (rc < 0)
        i = *argc;
    while (i < *argc)
        argv[kept++] = argv[i++];
    if (*argc > 0)
        argv[kept] = NULL;
    *argc = *argc > 0 ? kept : 0;
    return rc;
}

/* "section.key=value", blanks around the value taken off. */
static int apply_set(struct settings *settings, const char *text, struct err *err)
{
    const char *dot = strchr(text, '.');
    const char *equals = strchr(text, '=');
    if (!dot || !equals || dot > equals)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, text,
                       "--set takes section.key=value, and not \"%s\"", text);
    autofree char *section = strndup(text, (size_t)(dot - text));
    autofree char *key = strndup(dot + 1, (size_t)(equals - dot) - 1);
    const char *begin = equals + 1 + strspn(equals + 1, " \t");
    size_t length = strlen(begin);
    while (length && strchr(" \t", begin[length - 1]))
        length--;
    autofree char *value = strndup(begin, length);
    if (!section || !key || !value)
        return err_errno(err, ENOMEM, text, "cannot read --set");
    return settings_set(settings, section, key, value, "--set", err);
}

/* --- all of it ------------------------------------------------------------------------------- */

static int load(struct settings *settings, const struct flags *flags, struct err *err)
{
    settings->path = strdup(flags->config ? flags->config : DEFAULT_PATH);
    if (!settings->path)
        return err_errno(err, ENOMEM, "config", "cannot load the config");
    int rc = set_defaults(settings, err);
    if (rc < 0)
        return rc;
    rc = file_load(settings, settings->path, err);
    if (rc == -ERR_NOT_FOUND && !flags->config) {
        err_clear(err);
        rc = 0;
    }
    for (int i = 0; i < flags->n_sets && rc == 0; i++)
        rc = apply_set(settings, flags->sets[i], err);
    return rc < 0 ? rc : settings_check(settings, err);
}

int settings_load(int *argc, char **argv, struct settings **out_settings, struct err *err)
{
    autofree char **sets = calloc((size_t)*argc + 1, sizeof *sets);
    __attribute__((cleanup(settings_cleanup))) struct settings *settings =
        calloc(1, sizeof *settings);
    if (!sets || !settings)
        return err_errno(err, ENOMEM, "config", "cannot load the config");
    struct flags flags = {.sets = sets};
    int rc = take_flags(argc, argv, &flags, err);
    if (rc == 0)
        rc = load(settings, &flags, err);
    if (rc < 0)
        return rc;
    *out_settings = take_ptr(settings);
    return 0;
}

void settings_print(const struct settings *settings, FILE *out)
{
    const char *section = "";
    for (size_t i = 0; i < settings_table_length; i++) {
        const struct setting *setting = &settings_table[i];
        if (strcmp(section, setting->section) != 0) {
            section = setting->section;
            (void)fprintf(out, "%s[%s]\n", i ? "\n" : "", section);
        }
        (void)fprintf(out, "# %s\n%s = ", setting->help, setting->key);
        setting->type->print((const char *)settings + setting->offset, out);
        (void)fputc('\n', out);
    }
}

char *settings_run_path(const struct settings *settings, const char *name, const char *suffix)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s%s", settings->run_dir, name, suffix) < 0 ? NULL : path;
}
