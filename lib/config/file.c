/*
 * The INI file, read by inih. The reader below feeds it line by line, because inih itself neither
 * tells the line number nor refuses a line that is too long, a NUL byte or an empty section that
 * nobody knows. The first error ends it.
 */
#include "file.h"

#include "base/cleanup.h"
#include "table.h"

#include <errno.h>
#include <ini.h>
#include <string.h>

enum { PLACE_MAX = 1100, SHOWN_MAX = 80 };

struct parse {
    struct settings *settings;
    const char *path;
    FILE *file;
    unsigned line;
    unsigned *set_at; /* per key of the table: the line that set it; 0: none did */
    struct err *err;
    int rc;
};

static const char *place_of(const struct parse *parse, char place[PLACE_MAX])
{
    (void)snprintf(place, PLACE_MAX, "%s:%u", parse->path, parse->line);
    return place;
}

/* The names of the sections, or with `section` of its keys, each after a blank. */
static void list_names(const char *section, char *text, size_t size)
{
    size_t used = 0;
    const char *before = "";
    *text = '\0';
    for (size_t i = 0; i < settings_table_length && used < size; i++) {
        const struct setting *setting = &settings_table[i];
        bool listed = section ? strcmp(setting->section, section) == 0
                              : strcmp(setting->section, before) != 0;
        before = setting->section;
        if (listed)
            used += (size_t)snprintf(text + used, size - used, " %s",
                                     section ? setting->key : setting->section);
    }
}

static int refuse_section(const char *section, const char *place, struct err *err)
{
    char names[ERR_HINT_MAX];
    list_names(NULL, names, sizeof names);
    return err_set(err, ERR_INVALID_ARGUMENT, 0, section,
                   "%s: there is no section [%s]; there are%s", place, section, names);
}

static int refuse_key(const char *section, const char *key, const char *place, struct err *err)
{
    if (!settings_has_section(section))
        return refuse_section(section, place, err);
    char names[ERR_HINT_MAX];
    list_names(section, names, sizeof names);
    return err_set(err, ERR_INVALID_ARGUMENT, 0, key, "%s: [%s] has no key \"%s\"; it has%s", place,
                   section, key, names);
}

int settings_set(struct settings *settings, const char *section, const char *key, const char *value,
                 const char *place, struct err *err)
{
    const struct setting *setting = settings_find(section, key);
    if (!setting)
        return refuse_key(section, key, place, err);
    autoerr struct err why = {0};
    int rc = strlen(value) > CONFIG_VALUE_MAX
                 ? err_set(&why, ERR_INVALID_ARGUMENT, 0, NULL, "must have at most %d bytes",
                           CONFIG_VALUE_MAX)
                 : setting->type->parse(setting, value, setting_field(setting, settings), &why);
    if (rc < 0)
        return err_set(err, why.code, why.os_errno, key, "%s: %s.%s = \"%.*s%s\": it %s", place,
                       section, key, SHOWN_MAX, value, strlen(value) > SHOWN_MAX ? "…" : "",
                       why.message);
    return 0;
}

/* inih's handler: 0 is a failure. */
static int on_pair(void *data, const char *section, const char *key, const char *value)
{
    struct parse *parse = data;
    char place[PLACE_MAX];
    (void)place_of(parse, place);
    const struct setting *setting = settings_find(section, key);
    if (setting) {
        unsigned *set_at = &parse->set_at[setting - settings_table];
        if (*set_at != 0) {
            parse->rc =
                err_set(parse->err, ERR_INVALID_ARGUMENT, 0, key,
                        "%s: %s.%s stands here again, after line %u", place, section, key, *set_at);
            return 0;
        }
        *set_at = parse->line;
    }
    parse->rc = settings_set(parse->settings, section, key, value, place, parse->err);
    return parse->rc == 0;
}

static int check_line(const struct parse *parse, const char *line, size_t length)
{
    char place[PLACE_MAX];
    if (strlen(line) != length || (line[length - 1] != '\n' && !feof(parse->file)))
        return err_set(parse->err, ERR_INVALID_ARGUMENT, 0, NULL,
                       "%s: the line has a NUL byte, or more than %d bytes", place_of(parse, place),
                       CONFIG_LINE_MAX - 2);
    const char *p = line + strspn(line, " \t");
    const char *end = *p == '[' ? strchr(p, ']') : NULL;
    if (!end)
        return 0;
    autofree char *section = strndup(p + 1, (size_t)(end - p) - 1);
    if (section && !settings_has_section(section))
        return refuse_section(section, place_of(parse, place), parse->err);
    return 0;
}

/* inih's reader. As fgets(), which would not tell a NUL in the last line: NULL ends it. */
static char *read_line(char *buffer, int size, void *data)
{
    struct parse *parse = data;
    size_t length = 0;
    for (int c = 0; length + 1 < (size_t)size && c != '\n' && (c = getc(parse->file)) != EOF;)
        buffer[length++] = (char)c;
    buffer[length] = '\0';
    if (parse->rc < 0 || length == 0)
        return NULL;
    parse->line++;
    parse->rc = check_line(parse, buffer, length);
    return parse->rc < 0 ? NULL : buffer;
}

static void set_up_inih(void)
{
    ini_max_line = CONFIG_LINE_MAX;
    ini_allow_multiline = false;
    ini_stop_on_first_error = true;
}

int file_load(struct settings *settings, const char *path, struct err *err)
{
    autofree unsigned *set_at = calloc(settings_table_length, sizeof *set_at);
    if (!set_at)
        return err_errno(err, ENOMEM, path, "cannot read the config %s", path);
    struct parse parse = {.settings = settings, .path = path, .set_at = set_at, .err = err};
    parse.file = fopen(path, "re");
    if (!parse.file)
        return err_errno(err, errno, path, "cannot read the config %s", path);
    set_up_inih();
    int line = ini_parse_stream(read_line, &parse, on_pair, &parse);
    int rc = parse.rc;
    if (rc == 0 && ferror(parse.file))
        rc = err_errno(err, EIO, path, "cannot read the config %s", path);
    else if (rc == 0 && line != 0)
        rc = err_set(err, ERR_INVALID_ARGUMENT, 0, path,
                     "%s:%d: this is no section, no \"key = value\" and no comment", path, line);
    (void)fclose(parse.file);
    return rc;
}
