/* Private to the settings: the file. */
#ifndef LIB_CONFIG_FILE_H
#define LIB_CONFIG_FILE_H

#include "config/settings.h"

enum {
    CONFIG_LINE_MAX = 16384,
    CONFIG_VALUE_MAX = CONFIG_LINE_MAX - 64, /* so that "key = value" fits a line */
};

/*
 * Sets what the file says. A key that stands twice is an error, and so is one, or a section, that
 * does not exist. NOT_FOUND when there is no such file.
 */
int file_load(struct settings *settings, const char *path, struct err *err);

/* Sets one value; `place` says where it stands: "/etc/storaged.conf:12", "--set". */
int settings_set(struct settings *settings, const char *section, const char *key, const char *value,
                 const char *place, struct err *err);

#endif
