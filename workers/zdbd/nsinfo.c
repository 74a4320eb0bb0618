/* NSINFO: each key is looked for once; what is not asked for is passed over. */
#include "nsinfo.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NSINFO_TEXT_MAX = 16 * 1024, VALUE_MAX = 512 };

/* The value behind "\nkey: "; false where there is none. */
static bool find(const char *text, const char *key, char out_value[VALUE_MAX])
{
    size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) != 0 || strncmp(line + length, ": ", 2) != 0)
            continue;
        const char *value = line + length + 2;
        size_t n = strcspn(value, "\r\n");
        if (n >= VALUE_MAX)
            return false;
        memcpy(out_value, value, n);
        out_value[n] = '\0';
        return true;
    }
    return false;
}

bool nsinfo_find_number(const char *text, const char *key, uint64_t *out_number)
{
    char value[VALUE_MAX], *end;
    if (!find(text, key, value) || value[0] < '0' || value[0] > '9')
        return false;
    errno = 0;
    *out_number = strtoull(value, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool find_flag(const char *text, const char *key, bool *out_flag)
{
    char value[VALUE_MAX];
    if (!find(text, key, value))
        return false;
    *out_flag = strcmp(value, "yes") == 0;
    return *out_flag || strcmp(value, "no") == 0;
}

static bool find_mode(const char *text, Storage__V1__ZDBMode *out_mode)
{
    char value[VALUE_MAX];
    if (!find(text, "mode", value))
        return false;
    *out_mode = strcmp(value, "sequential") == 0 ? STORAGE__V1__ZDBMODE__ZDB_MODE_SEQUENTIAL
                                                 : STORAGE__V1__ZDBMODE__ZDB_MODE_USER;
    return strcmp(value, "sequential") == 0 || strcmp(value, "userkey") == 0;
}

/* Counters that a 0-db may leave out count as none. */
uint64_t nsinfo_sum_errors(const char *text)
{
    static const char *const keys[] = {"stats_index_io_errors", "stats_index_faults",
                                       "stats_data_io_errors", "stats_data_faults"};
    uint64_t sum = 0;
    for (size_t i = 0; i < array_length(keys); i++) {
        uint64_t n = 0;
        if (nsinfo_find_number(text, keys[i], &n))
            sum += n;
    }
    return sum;
}

/* Of our own 0-db; upstream's ends where ours keeps one namespace from its clients. */
static void find_trouble(const char *text, char out_trouble[NSINFO_TROUBLE_MAX])
{
    static const char *const keys[] = {"out_of_service", "closed"};
    char value[VALUE_MAX];
    for (size_t i = 0; i < array_length(keys) && !*out_trouble; i++)
        if (find(text, keys[i], value))
            (void)snprintf(out_trouble, NSINFO_TROUBLE_MAX, "%.*s", NSINFO_TROUBLE_MAX - 1, value);
}

int nsinfo_parse(const char *text, size_t length, const char *name, struct nsinfo *out_info,
                 struct err *err)
{
    struct nsinfo info = {0};
    char said[VALUE_MAX];
    autofree char *copy = length <= NSINFO_TEXT_MAX ? strndup(text, length) : NULL;
    bool whole = copy && find(copy, "name", said) && strcmp(said, name) == 0 &&
                 nsinfo_find_number(copy, "entries", &info.entries) &&
                 nsinfo_find_number(copy, "data_size_bytes", &info.data_bytes) &&
                 nsinfo_find_number(copy, "index_size_bytes", &info.index_bytes) &&
                 nsinfo_find_number(copy, "data_limits_bytes", &info.limit_bytes) &&
                 find_flag(copy, "public", &info.public) &&
                 find_flag(copy, "password", &info.password) &&
                 find_flag(copy, "locked", &info.locked) && find_mode(copy, &info.mode);
    if (!whole)
        return err_set(err, ERR_DATA_LOSS, 0, name, "its 0-db gives no account of it (NSINFO)");
    info.errors = nsinfo_sum_errors(copy);
    find_trouble(copy, info.trouble);
    *out_info = info;
    return 0;
}
