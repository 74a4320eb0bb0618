/*
 * The types of values. Every one prints what it parses. A value lives on one line of an INI file,
 * so no text holds a control character, nor a ';', which begins a comment there.
 */
#include "base/cleanup.h"
#include "base/quantity.h"
#include "base/utf8.h"
#include "table.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char separators[] = " \t,";

#define refuse(err, ...) err_set(err, ERR_INVALID_ARGUMENT, 0, NULL, __VA_ARGS__)

static int no_memory(struct err *err)
{
    return err_errno(err, ENOMEM, NULL, "cannot be kept");
}

static void free_pointer(void *field)
{
    free(*(void **)field);
}

/* --- texts and paths ------------------------------------------------------------------------- */

static int check_text(const struct setting *setting, const char *text, struct err *err)
{
    size_t length = strlen(text);
    if (length < setting->min || length > setting->max)
        return refuse(err, "must be %" PRIu64 " to %" PRIu64 " bytes long", setting->min,
                      setting->max);
    for (const char *p = text; *p; p++)
        if (iscntrl((unsigned char)*p) || *p == ';')
            return refuse(err, "must hold no control character and no ';'");
    /* Paths are told in replies and events. */
    return utf8_valid(text, length) ? 0 : refuse(err, "must be UTF-8");
}

static int replace_text(char *fresh, void *field, struct err *err)
{
    if (!fresh)
        return no_memory(err);
    free(*(char **)field);
    *(char **)field = fresh;
    return 0;
}

static int parse_text(const struct setting *setting, const char *text, void *field, struct err *err)
{
    int rc = check_text(setting, text, err);
    return rc < 0 ? rc : replace_text(strdup(text), field, err);
}

/* True for an absolute path without "//", "." and "..", that is not the root, and that a file of
 * settings can hold: a blank at its end would not be read back. */
static bool is_plain_path(const char *text)
{
    if (*text != '/' || isspace((unsigned char)text[strlen(text) - 1]))
        return false;
    for (const char *name = text; *name;) {
        const char *end = strchrnul(++name, '/');
        size_t length = (size_t)(end - name);
        if (length == 0 || strncmp(name, ".", length) == 0 || strncmp(name, "..", length) == 0)
            return false;
        name = end;
    }
    return true;
}

static int parse_path(const struct setting *setting, const char *text, void *field, struct err *err)
{
    int rc = check_text(setting, text, err);
    if (rc < 0)
        return rc;
    autofree char *path = strdup(text);
    if (!path)
        return no_memory(err);
    size_t length = strlen(path);
    if (length > 1 && path[length - 1] == '/')
        path[length - 1] = '\0';
    if (*path && !is_plain_path(path))
        return refuse(err, "must be an absolute path without \"//\", \".\" and \"..\", not /, and "
                           "without a blank at its end");
    return replace_text(take_ptr(path), field, err);
}

static void print_text(const void *field, FILE *out)
{
    (void)fputs(*(char *const *)field, out);
}

const struct setting_type setting_text = {parse_text, print_text, free_pointer};
const struct setting_type setting_path = {parse_path, print_text, free_pointer};

/* --- lists ----------------------------------------------------------------------------------- */

static size_t list_length(const char *text)
{
    size_t n = 0;
    for (const char *p = text + strspn(text, separators); *p; n++) {
        p += strcspn(p, separators);
        p += strspn(p, separators);
    }
    return n;
}

static int check_length(const struct setting *setting, size_t n, struct err *err)
{
    if (n >= setting->min && n <= setting->max)
        return 0;
    return refuse(err,
                  "must be a list of %" PRIu64 " to %" PRIu64
                  " entries, with blanks or commas between them",
                  setting->min, setting->max);
}

static void list_free(settings_list list)
{
    for (char **entry = list; list && *entry; entry++)
        free(*entry);
    free(list);
}

static int parse_list(const struct setting *setting, const char *text, void *field, struct err *err)
{
    static const struct setting entry = {.min = 1, .max = 4096};
    size_t n = list_length(text);
    int rc = check_length(setting, n, err);
    if (rc < 0)
        return rc;
    settings_list list = calloc(n + 1, sizeof *list);
    if (!list)
        return no_memory(err);
    const char *p = text;
    for (size_t i = 0; i < n && rc == 0; i++) {
        p += strspn(p, separators);
        size_t length = strcspn(p, separators);
        list[i] = strndup(p, length);
        rc = list[i] ? check_text(&entry, list[i], err) : no_memory(err);
        p += length;
    }
    if (rc < 0) {
        list_free(list);
        return rc;
    }
    list_free(*(settings_list *)field);
    *(settings_list *)field = list;
    return 0;
}

static void print_list(const void *field, FILE *out)
{
    const settings_list list = *(const settings_list *)field;
    for (size_t i = 0; list[i]; i++)
        (void)fprintf(out, "%s%s", i ? " " : "", list[i]);
}

static void free_list(void *field)
{
    list_free(*(settings_list *)field);
}

const struct setting_type setting_list = {parse_list, print_list, free_list};

/* --- uids ------------------------------------------------------------------------------------ */

/* The field is a pointer, and the length that follows it. */
_Static_assert(offsetof(struct settings, n_admin_uids) ==
                   offsetof(struct settings, admin_uids) + sizeof(uid_t *),
               "the length of the uids follows them");

static size_t *uids_length(const void *field)
{
    return (size_t *)((uid_t *const *)field + 1);
}

static int parse_uids(const struct setting *setting, const char *text, void *field, struct err *err)
{
    settings_list words = NULL;
    int rc = parse_list(setting, text, &words, err);
    if (rc < 0)
        return rc;
    size_t n = list_length(text);
    uid_t *uids = calloc(n + 1, sizeof *uids);
    rc = uids ? 0 : no_memory(err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        uint64_t uid;
        if (quantity_parse_u64(words[i], &uid) < 0 || uid >= UINT32_MAX)
            rc = refuse(err, "must be numbers of users; \"%s\" is none", words[i]);
        else
            uids[i] = (uid_t)uid;
    }
    list_free(words);
    if (rc < 0) {
        free(uids);
        return rc;
    }
    free(*(uid_t **)field);
    *(uid_t **)field = uids;
    *uids_length(field) = n;
    return 0;
}

static void print_uids(const void *field, FILE *out)
{
    const uid_t *uids = *(uid_t *const *)field;
    for (size_t i = 0; i < *uids_length(field); i++)
        (void)fprintf(out, "%s%u", i ? " " : "", uids[i]);
}

const struct setting_type setting_uids = {parse_uids, print_uids, free_pointer};

/* --- numbers --------------------------------------------------------------------------------- */

static int parse_u32(const struct setting *setting, const char *text, void *field, struct err *err)
{
    uint64_t value;
    if (quantity_parse_u64(text, &value) < 0 || value < setting->min || value > setting->max)
        return refuse(err, "must be a number from %" PRIu64 " to %" PRIu64, setting->min,
                      setting->max);
    *(uint32_t *)field = (uint32_t)value;
    return 0;
}

static void print_u32(const void *field, FILE *out)
{
    (void)fprintf(out, "%" PRIu32, *(const uint32_t *)field);
}

static int parse_size(const struct setting *setting, const char *text, void *field, struct err *err)
{
    uint64_t value;
    char least[QUANTITY_TEXT_SIZE], most[QUANTITY_TEXT_SIZE];
    if (quantity_parse_size(text, &value) < 0 || value < setting->min || value > setting->max)
        return refuse(err, "must be a size from %s to %s, in bytes or with K, M, G or T",
                      quantity_format_exact(setting->min, least),
                      quantity_format_exact(setting->max, most));
    *(uint64_t *)field = value;
    return 0;
}

static void print_size(const void *field, FILE *out)
{
    char text[QUANTITY_TEXT_SIZE];
    (void)fputs(quantity_format_exact(*(const uint64_t *)field, text), out);
}

static int parse_range(const struct setting *setting, const char *text, void *field,
                       struct err *err)
{
    uint64_t first = 0, last = 0;
    const char *dash = strchrnul(text, '-');
    autofree char *head = strndup(text, (size_t)(dash - text));
    if (!head)
        return no_memory(err);
    if (!*dash || quantity_parse_u64(head, &first) < 0 || quantity_parse_u64(dash + 1, &last) < 0 ||
        first > last || first < setting->min || last > setting->max)
        return refuse(err, "must be a range as in 1000-1999, from %" PRIu64 " to %" PRIu64,
                      setting->min, setting->max);
    *(struct settings_range *)field =
        (struct settings_range){.first = (uint32_t)first, .last = (uint32_t)last};
    return 0;
}

static void print_range(const void *field, FILE *out)
{
    const struct settings_range *range = field;
    (void)fprintf(out, "%" PRIu32 "-%" PRIu32, range->first, range->last);
}

const struct setting_type setting_range = {parse_range, print_range, NULL};
const struct setting_type setting_u32 = {parse_u32, print_u32, NULL};
const struct setting_type setting_size = {parse_size, print_size, NULL};

/* --- words ----------------------------------------------------------------------------------- */

static int parse_bool(const struct setting *setting, const char *text, void *field, struct err *err)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"yes", true},    {"no", false}, {"true", true},
                 {"false", false}, {"on", true},  {"off", false}};
    (void)setting;
    for (size_t i = 0; i < array_length(words); i++) {
        if (strcasecmp(text, words[i].word) == 0) {
            *(bool *)field = words[i].value;
            return 0;
        }
    }
    return refuse(err, "must be yes or no");
}

static void print_bool(const void *field, FILE *out)
{
    (void)fputs(*(const bool *)field ? "yes" : "no", out);
}

static int parse_level(const struct setting *setting, const char *text, void *field,
                       struct err *err)
{
    (void)setting;
    if (log_level_parse(text, field) == 0)
        return 0;
    return refuse(err, "must be debug, info, warning or error");
}

static void print_level(const void *field, FILE *out)
{
    (void)fputs(log_level_name(*(const enum log_level *)field), out);
}

const struct setting_type setting_bool = {parse_bool, print_bool, NULL};
const struct setting_type setting_level = {parse_level, print_level, NULL};
