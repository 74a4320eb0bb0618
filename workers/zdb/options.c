/* Flags as a table; getopt_long knows their unambiguous prefixes. */
#include "options.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "limits.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DATASIZE_LEAST = 512 << 10,
    DATASIZE_DEFAULT = 256 << 20,
    PORT_DEFAULT = 9900,
    SYNCTIME_DEFAULT_S = 1,
    COMPACT_DEFAULT_PERCENT = 50,
};

enum flag {
    FLAG_DATA = 256,
    FLAG_INDEX,
    FLAG_MODE,
    FLAG_DATASIZE,
    FLAG_LISTEN,
    FLAG_PORT,
    FLAG_SOCKET,
    FLAG_DUALNET,
    FLAG_HOOK,
    FLAG_ADMIN,
    FLAG_PASSWORD_FILE,
    FLAG_PROTECT,
    FLAG_MAXSIZE,
    FLAG_MEMORY,
    FLAG_SYNC,
    FLAG_SYNCTIME,
    FLAG_SECURE,
    FLAG_ROTATE,
    FLAG_COMPACT,
    FLAG_GATES,
    FLAG_BACKGROUND,
    FLAG_LOGFILE,
    FLAG_DUMP,
    FLAG_VERBOSE,
    FLAG_VERSION,
    FLAG_HELP,
};

static const struct option flags[] = {
    {"data", required_argument, NULL, FLAG_DATA},
    {"index", required_argument, NULL, FLAG_INDEX},
    {"mode", required_argument, NULL, FLAG_MODE},
    {"datasize", required_argument, NULL, FLAG_DATASIZE},
    {"listen", required_argument, NULL, FLAG_LISTEN},
    {"port", required_argument, NULL, FLAG_PORT},
    {"socket", required_argument, NULL, FLAG_SOCKET},
    {"dualnet", no_argument, NULL, FLAG_DUALNET},
    {"hook", required_argument, NULL, FLAG_HOOK},
    {"admin", required_argument, NULL, FLAG_ADMIN},
    {"password-file", required_argument, NULL, FLAG_PASSWORD_FILE},
    {"protect", no_argument, NULL, FLAG_PROTECT},
    {"maxsize", required_argument, NULL, FLAG_MAXSIZE},
    {"memory", required_argument, NULL, FLAG_MEMORY},
    {"sync", no_argument, NULL, FLAG_SYNC},
    {"synctime", required_argument, NULL, FLAG_SYNCTIME},
    {"secure", no_argument, NULL, FLAG_SECURE},
    {"rotate", required_argument, NULL, FLAG_ROTATE},
    {"compact", required_argument, NULL, FLAG_COMPACT},
    {"gates", required_argument, NULL, FLAG_GATES},
    {"background", no_argument, NULL, FLAG_BACKGROUND},
    {"logfile", required_argument, NULL, FLAG_LOGFILE},
    {"dump", no_argument, NULL, FLAG_DUMP},
    {"verbose", no_argument, NULL, FLAG_VERBOSE},
    {"version", no_argument, NULL, FLAG_VERSION},
    {"help", no_argument, NULL, FLAG_HELP},
    {NULL, 0, NULL, 0},
};

void options_print_help(void)
{
    printf(
        "Usage: zdb [flags]\n"
        "A 0-db server: keys and values in files that only grow, in namespaces.\n"
        "\n"
        "  --data DIR        data files, made if missing (./zdb-data)\n"
        "  --index DIR       index files, another directory (./zdb-index)\n"
        "  --mode MODE       user, seq or mixed: keys of the user's, ids of ours, or as each\n"
        "                    namespace says (mixed; new ones are user)\n"
        "  --datasize N      begin a new data file before one is larger; K, M, G (256M)\n"
        "  --maxsize N       bytes of live payload in the default namespace, 0: any (0)\n"
        "  --memory N        for what clients send and are sent (%dM, at least %dM)\n"
        "\n"
        "  --listen ADDR     TCP address (127.0.0.1)\n"
        "  --port P          TCP port (9900)\n"
        "  --socket PATH     unix socket, instead of TCP\n"
        "  --dualnet         both\n"
        "  --admin PW        the admin's password; without one only who has the server's own uid,\n"
        "                    or root, at the unix socket is admin\n"
        "  --password-file F  the same, from the first line of a file\n"
        "  --protect         the default namespace is read-only without the admin's password\n"
        "\n"
        "  --sync            answer when it is on the disk\n"
        "  --synctime S      else bring it there every S seconds (1, the least)\n"
        "  --secure          and a data file when it is closed\n"
        "  --rotate S        begin a new data file after S seconds with a write (off)\n"
        "  --compact P       compact a closed data file when P percent of it are dead; 0: only on\n"
        "                    COMPACT (50)\n"
        "  --gates FILE      namespaces that begin locked or frozen: a line for each, `lock NAME`\n"
        "                    or `freeze NAME`\n"
        "  --hook FILE       run it at events\n"
        "\n"
        "  --background      go on in the background once it listens\n"
        "  --logfile F       the log of that\n"
        "  --dump            load, print every key, and end\n"
        "  --verbose  --version  --help\n"
        "\n"
        "Memory: each key of a user-mode namespace takes its own length and at most 40 bytes, a\n"
        "sequential namespace less than 2 megabytes, and one of keys that is written half a\n"
        "megabyte beside the keys. What clients send and are sent takes at most\n"
        "%d MiB in all, or what --memory says: beyond it they wait, and who keeps others waiting\n"
        "and moves less than %d KiB in %d s is let go.\n",
        LIMITS_MEMORY_MIB, LIMITS_MEMORY_LEAST_MIB, LIMITS_MEMORY_MIB, LIMITS_MOVE_LEAST >> 10,
        LIMITS_STALL_MS / 1000);
}

static int parse_mode(struct options *out, const char *text, struct err *err)
{
    out->mixed = strcmp(text, "mixed") == 0 || strcmp(text, "mix") == 0;
    out->sequential =
        strcmp(text, "seq") == 0 || strcmp(text, "sequential") == 0 || strcmp(text, "direct") == 0;
    if (out->mixed || out->sequential || strcmp(text, "user") == 0)
        return 0;
    return err_set(err, ERR_INVALID_ARGUMENT, 0, "--mode", "\"%s\" is not user, seq or mixed",
                   text);
}

static int parse_size(const char *flag, const char *text, uint64_t least, uint64_t most,
                      uint64_t *out, struct err *err)
{
    uint64_t value;
    if (quantity_parse_size(text, &value) == 0 && value >= least && value <= most) {
        *out = value;
        return 0;
    }
    return err_set(err, ERR_INVALID_ARGUMENT, 0, flag, "\"%s\" is no number from %ju to %ju", text,
                   (uintmax_t)least, (uintmax_t)most);
}

static int parse_u32(const char *flag, const char *text, uint32_t most, uint32_t *out,
                     struct err *err)
{
    uint64_t value;
    int rc = parse_size(flag, text, 0, most, &value, err);
    if (rc == 0)
        *out = (uint32_t)value;
    return rc;
}

static int take_admin(struct options *out, char *text, struct err *err)
{
    size_t length = strlen(text);
    if (length == 0 || length > OPTIONS_ADMIN_MAX)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "--admin",
                       "the password has %zu bytes, not 1 to %d", length, OPTIONS_ADMIN_MAX);
    memcpy(out->admin, text, length + 1);
    memset(text, 'x', length);
    return 0;
}

static int read_admin(struct options *out, const char *path, struct err *err)
{
    char text[OPTIONS_ADMIN_MAX + 2] = {0};
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n < 0)
        return err_errno(err, errno, path, "cannot read the admin's password");
    text[strcspn(text, "\r\n")] = '\0';
    return take_admin(out, text, err);
}

static int parse_port(struct options *out, const char *text, struct err *err)
{
    uint32_t port = 0;
    int rc = parse_u32("--port", text, UINT16_MAX, &port, err);
    out->port = (uint16_t)port;
    return rc;
}

/* 0, which upstream takes for never, is as often as it goes: what is never synced can be lost
 * whole. */
static int parse_synctime(struct options *out, const char *text, struct err *err)
{
    int rc = parse_u32("--synctime", text, 86400, &out->synctime_s, err);
    if (rc == 0 && out->synctime_s == 0)
        out->synctime_s = SYNCTIME_DEFAULT_S;
    return rc;
}

static int take(struct options *out, int flag, char *text, struct err *err)
{
    switch (flag) {
    case FLAG_MODE:
        return parse_mode(out, text, err);
    case FLAG_DATASIZE:
        return parse_size("--datasize", text, DATASIZE_LEAST, UINT32_MAX - 1, &out->datasize, err);
    case FLAG_MAXSIZE:
        return parse_size("--maxsize", text, 0, UINT64_MAX, &out->maxsize, err);
    case FLAG_MEMORY:
        return parse_size("--memory", text, (uint64_t)LIMITS_MEMORY_LEAST_MIB * LIMITS_MIB,
                          UINT64_MAX, &out->memory, err);
    case FLAG_PORT:
        return parse_port(out, text, err);
    case FLAG_ADMIN:
        return take_admin(out, text, err);
    case FLAG_PASSWORD_FILE:
        return read_admin(out, text, err);
    case FLAG_SYNCTIME:
        return parse_synctime(out, text, err);
    case FLAG_ROTATE:
        return parse_u32("--rotate", text, UINT32_MAX, &out->rotate_s, err);
    case FLAG_COMPACT:
        return parse_u32("--compact", text, 100, &out->compact_percent, err);
    default:
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "zdb", "unknown flag; --help names all");
    }
}

/* Those that only are there, and those whose text is kept as it is. */
static bool take_plain(struct options *out, int flag, char *text)
{
    const struct {
        int flag;
        bool *yes;
        const char **text;
    } plain[] = {
        {FLAG_DATA, NULL, &out->data},       {FLAG_INDEX, NULL, &out->index},
        {FLAG_LISTEN, NULL, &out->listen},   {FLAG_SOCKET, NULL, &out->socket},
        {FLAG_HOOK, NULL, &out->hook},       {FLAG_LOGFILE, NULL, &out->logfile},
        {FLAG_GATES, NULL, &out->gates},     {FLAG_DUALNET, &out->dualnet, NULL},
        {FLAG_PROTECT, &out->protect, NULL}, {FLAG_SYNC, &out->sync, NULL},
        {FLAG_SECURE, &out->secure, NULL},   {FLAG_BACKGROUND, &out->background, NULL},
        {FLAG_DUMP, &out->dump, NULL},       {FLAG_VERBOSE, &out->verbose, NULL},
    };
    for (size_t i = 0; i < array_length(plain); i++) {
        if (plain[i].flag != flag)
            continue;
        if (plain[i].yes)
            *plain[i].yes = true;
        else
            *plain[i].text = text;
        return true;
    }
    return false;
}

static int check(const struct options *options, struct err *err)
{
    if (strcmp(options->data, options->index) == 0)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, options->data,
                       "data and index need a directory each");
    if (options->protect && !options->admin[0])
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "--protect",
                       "needs --admin: nobody could ever write to the default namespace");
    if (options->logfile && !options->background)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, "--logfile", "goes with --background only");
    return 0;
}

enum options_result options_parse(struct options *out, int argc, char **argv, struct err *err)
{
    *out = (struct options){.data = "./zdb-data",
                            .index = "./zdb-index",
                            .listen = "127.0.0.1",
                            .port = PORT_DEFAULT,
                            .mixed = true,
                            .datasize = DATASIZE_DEFAULT,
                            .memory = (uint64_t)LIMITS_MEMORY_MIB * LIMITS_MIB,
                            .synctime_s = SYNCTIME_DEFAULT_S,
                            .compact_percent = COMPACT_DEFAULT_PERCENT};
    for (int flag; (flag = getopt_long(argc, argv, "", flags, NULL)) != -1;) {
        if (flag == FLAG_HELP)
            return OPTIONS_HELP;
        if (flag == FLAG_VERSION)
            return OPTIONS_VERSION;
        if (!take_plain(out, flag, optarg) && take(out, flag, optarg, err) < 0)
            return OPTIONS_WRONG;
    }
    if (optind < argc) {
        (void)err_set(err, ERR_INVALID_ARGUMENT, 0, argv[optind], "is no flag; --help names all");
        return OPTIONS_WRONG;
    }
    return check(out, err) < 0 ? OPTIONS_WRONG : OPTIONS_RUN;
}
