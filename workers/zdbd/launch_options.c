/* The launcher's flags: all are there, and each is what it must be. Texts are borrowed of argv. */
#include "launch_private.h"

#include "base/cleanup.h"
#include "base/quantity.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_FLAG = 256 };

enum flag {
    FLAG_POOL = FIRST_FLAG,
    FLAG_HOME,
    FLAG_RUN,
    FLAG_UID,
    FLAG_GID,
    FLAG_LISTEN,
    FLAG_PORT,
    FLAG_FIRST_PORT,
    FLAG_LAST_PORT,
    FLAG_FILES,
    FLAG_MEMORY,
    FLAG_BINARY,
    FLAG_UPSTREAM, /* from here on none is needed */
    FLAG_SYNC,
};

static const struct option flags[] = {
    {"pool", required_argument, NULL, FLAG_POOL},
    {"home", required_argument, NULL, FLAG_HOME},
    {"run", required_argument, NULL, FLAG_RUN},
    {"uid", required_argument, NULL, FLAG_UID},
    {"gid", required_argument, NULL, FLAG_GID},
    {"listen", required_argument, NULL, FLAG_LISTEN},
    {"port", required_argument, NULL, FLAG_PORT},
    {"first-port", required_argument, NULL, FLAG_FIRST_PORT},
    {"last-port", required_argument, NULL, FLAG_LAST_PORT},
    {"files", required_argument, NULL, FLAG_FILES},
    {"memory", required_argument, NULL, FLAG_MEMORY},
    {"binary", required_argument, NULL, FLAG_BINARY},
    {"upstream", no_argument, NULL, FLAG_UPSTREAM},
    {"sync", no_argument, NULL, FLAG_SYNC},
    {NULL, 0, NULL, 0},
};

/* Root is no owner of a 0-db: whoever breaks into it would be root. */
static bool take_number(struct launch *launch, int flag, const char *text)
{
    const struct {
        int flag;
        uint64_t least, most;
        uint16_t *port;
        uint32_t *other;
    } numbers[] = {
        {FLAG_UID, 1, UINT32_MAX - 1, NULL, &launch->record.uid},
        {FLAG_GID, 1, UINT32_MAX - 1, NULL, &launch->gid},
        {FLAG_PORT, 1, UINT16_MAX, &launch->proposed_port, NULL},
        {FLAG_FIRST_PORT, 1, UINT16_MAX, &launch->first_port, NULL},
        {FLAG_LAST_PORT, 1, UINT16_MAX, &launch->last_port, NULL},
        {FLAG_FILES, 1, UINT32_MAX, NULL, &launch->files},
    };
    uint64_t value;
    for (size_t i = 0; i < array_length(numbers); i++) {
        if (numbers[i].flag != flag)
            continue;
        if (quantity_parse_u64(text, &value) < 0 || value < numbers[i].least ||
            value > numbers[i].most)
            return false;
        if (numbers[i].port)
            *numbers[i].port = (uint16_t)value;
        else
            *numbers[i].other = (uint32_t)value;
        return true;
    }
    return flag == FLAG_MEMORY && quantity_parse_size(text, &launch->memory_bytes) == 0;
}

static bool take_path(const char **out, const char *text)
{
    *out = text;
    return *text == '/';
}

static bool take(struct launch *launch, int flag, const char *text)
{
    switch (flag) {
    case FLAG_POOL:
        (void)snprintf(launch->record.pool, sizeof launch->record.pool, "%s", text);
        return uuid_valid(text);
    case FLAG_HOME:
        return take_path(&launch->home, text);
    case FLAG_RUN:
        return take_path(&launch->run, text);
    case FLAG_BINARY:
        return take_path(&launch->binary, text);
    case FLAG_LISTEN:
        launch->listen = text;
        return true;
    case FLAG_UPSTREAM:
        return launch->upstream = true;
    case FLAG_SYNC:
        return launch->sync = true;
    default:
        return take_number(launch, flag, text);
    }
}

int launch_parse_options(struct launch *launch, int argc, char **argv, struct err *err)
{
    uint32_t missing = (1u << (FLAG_UPSTREAM - FIRST_FLAG)) - 1;
    for (int flag; (flag = getopt_long(argc, argv, "", flags, NULL)) != -1;) {
        if (flag < FIRST_FLAG)
            return err_set(err, ERR_INVALID_ARGUMENT, 0, "zdblaunch", "wrong flags");
        if (!take(launch, flag, optarg))
            return err_set(err, ERR_INVALID_ARGUMENT, 0, flags[flag - FIRST_FLAG].name,
                           "\"%s\" is out of the question", optarg);
        missing &= ~(1u << (flag - FIRST_FLAG));
    }
    if (optind < argc)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, argv[optind], "is no flag");
    for (int i = 0; i < FLAG_UPSTREAM - FIRST_FLAG; i++)
        if (missing >> i & 1u)
            return err_set(err, ERR_INVALID_ARGUMENT, 0, flags[i].name, "is not given");
    return 0;
}
