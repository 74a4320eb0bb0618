/* Private to the settings: the table of all keys, and the types of their values. */
#ifndef LIB_CONFIG_TABLE_H
#define LIB_CONFIG_TABLE_H

#include "config/settings.h"

struct setting;

/*
 * What can be done with the values of one type; `field` points into struct settings. `parse`
 * replaces what the field holds; on error the field is left as it was, and `err` carries one
 * sentence that says what is allowed: "must be …".
 */
struct setting_type {
    int (*parse)(const struct setting *setting, const char *text, void *field, struct err *err);
    void (*print)(const void *field, FILE *out); /* as it would stand in the file */
    void (*free)(void *field);                   /* NULL: it owns nothing */
};

extern const struct setting_type setting_path; /* absolute, min..max bytes long; 0: may be empty */
extern const struct setting_type setting_text; /* min..max bytes long */
extern const struct setting_type setting_list; /* min..max texts */
extern const struct setting_type setting_uids; /* min..max uids */
extern const struct setting_type setting_level;
extern const struct setting_type setting_u32;   /* min..max */
extern const struct setting_type setting_size;  /* min..max bytes */
extern const struct setting_type setting_range; /* of uids, both ends within min..max */
extern const struct setting_type setting_bool;

struct setting {
    const char *section, *key;
    const struct setting_type *type;
    size_t offset;     /* in struct settings */
    const char *value; /* the default, as it would stand in the file */
    uint64_t min, max; /* inclusive; what they count is the type's affair */
    const char *help;
};

extern const struct setting settings_table[];
extern const size_t settings_table_length;

static inline void *setting_field(const struct setting *setting, struct settings *settings)
{
    return (char *)settings + setting->offset;
}

/* NULL if there is no such key. */
const struct setting *settings_find(const char *section, const char *key);
bool settings_has_section(const char *section);

/* What cannot be seen from one value alone. */
int settings_check(const struct settings *settings, struct err *err);

#endif
