/*
 * The program: directories and sockets first, then it gives up everything else, then threads and
 * namespaces, and only then it is heard. A second one on the same directories ends at once.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "confine.h"
#include "scan.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_SHARE = 4 }; /* of the descriptors, so many parts are for clients and one for files */

/* --- in the background ------------------------------------------------------------------------ */

/* Descriptors that are opened while the files of others may still be opened: -1 in the foreground.
 */
struct background {
    int tell; /* the child says at it that it is heard */
    int log, null;
};

static int open_background(struct background *out, const struct options *options, struct err *err)
{
    const char *path = options->logfile ? options->logfile : "/dev/null";
    out->log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (out->log < 0)
        return err_errno(err, errno, path, "cannot open the log");
    out->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return out->null < 0 ? err_errno(err, errno, "/dev/null", "cannot open") : 0;
}

/* The parent ends when the child is heard: with 0, or with 1 when that ended before. */
static int begin_background(struct background *out, const struct options *options, struct err *err)
{
    int ends[2];
    char heard;
    *out = (struct background){-1, -1, -1};
    if (!options->background)
        return 0;
    int rc = open_background(out, options, err);
    if (rc < 0)
        return rc;
    pid_t child = pipe2(ends, O_CLOEXEC) < 0 ? -1 : fork();
    if (child < 0)
        return err_errno(err, errno, "--background", "cannot go there");
    if (child > 0) {
        (void)close(ends[1]);
        _exit(read(ends[0], &heard, 1) == 1 ? 0 : 1);
    }
    (void)close(ends[0]);
    (void)setsid();
    out->tell = ends[1];
    return 0;
}

/* The log is emptied here and not before: a server that has to end leaves that of another alone. */
static void redirect(struct background *background)
{
    if (background->tell < 0)
        return;
    (void)!ftruncate(background->log, 0);
    (void)dup2(background->null, STDIN_FILENO);
    (void)dup2(background->log, STDOUT_FILENO);
    (void)dup2(background->log, STDERR_FILENO);
    cleanup_fd(&background->null);
    cleanup_fd(&background->log);
}

static void tell_parent(struct background *background)
{
    if (background->tell >= 0)
        (void)!write(background->tell, "", 1);
    cleanup_fd(&background->tell);
}

/* --- --dump ---------------------------------------------------------------------------------- */

static void print_key(const struct scan_item *item)
{
    for (unsigned i = 0; i < item->cursor.key_size; i++) {
        uint8_t c = item->key[i];
        if (c > ' ' && c < 127 && c != '\\')
            putchar(c);
        else
            printf("\\x%02x", c);
    }
    printf(" length=%u time=%u file=%u offset=%u\n", item->length, item->time, item->cursor.file,
           item->cursor.offset);
}

static void dump(const struct realm *realm)
{
    for (struct ns *ns = realm->first; ns; ns = ns->next) {
        struct scan scan;
        struct scan_item item;
        printf("namespace %s: %s, %ju entries\n", ns->name,
               ns->damaged ? "out of service" : "loaded", (uintmax_t)ns->entries);
        if (ns->damaged)
            continue;
        if (scan_begin(&scan, ns, false, NULL) == STORE_OK)
            while (scan_next(&scan, &item))
                print_key(&item);
        scan_end(&scan);
    }
    (void)fflush(stdout);
}

/* --- serving --------------------------------------------------------------------------------- */

static void raise_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    rlim_t most = (rlim_t)LIMITS_CLIENTS * 5 / FILES_SHARE;
    files.rlim_cur = files.rlim_max < most ? files.rlim_max : most;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    (void)umask(077);
    file_set_limit((uint32_t)(files.rlim_cur / (FILES_SHARE + 1)));
}

static int serve(struct server *server, struct background *background, struct err *err)
{
    int rc = listen_begin(server, err);
    if (rc == 0 && !server->options->hook)
        rc = confine_calls(err);
    if (rc < 0)
        return rc;
    if (hooks_ask(&server->hooks, "ready", NULL) != 0) {
        log_warning("the hook is not ready: the server ends");
        return 0;
    }
    redirect(background);
    log_info("ready", "socket", server->identity, "pid", log_i64(getpid()));
    tell_parent(background);
    rc = server_run(server, err);
    for (const struct ns *ns = server->realm.first; ns; ns = ns->next)
        server_tell_closing(server, ns);
    (void)hooks_ask(&server->hooks, "close", NULL);
    return rc;
}

static int run(struct server *server, const struct options *options, struct err *err)
{
    struct background background;
    int rc = begin_background(&background, options, err);
    if (rc < 0)
        return 1;
    rc = server_init(server, options, err);
    if (rc == 0 && !options->hook)
        rc = confine_files(server->realm.data_root, server->realm.index_root, err);
    if (rc == 0)
        rc = server_load(server, err);
    if (rc == 0 && options->dump)
        dump(&server->realm);
    else if (rc == 0)
        rc = serve(server, &background, err);
    int signal = server->stop_signal;
    server_close(server);
    if (rc < 0)
        return 1;
    return signal ? 128 + signal : 0;
}

int main(int argc, char **argv)
{
    static struct server server;
    struct options options;
    autoerr struct err err = {0};
    log_init("zdb", LOG_INFO);
    switch (options_parse(&options, argc, argv, &err)) {
    case OPTIONS_HELP:
        options_print_help();
        return 1;
    case OPTIONS_VERSION:
        printf("0-db (embedded), storaged %s\n", ZDB_VERSION);
        return 0;
    case OPTIONS_WRONG:
        log_err(LOG_ERROR, "wrong flag", &err);
        return 1;
    case OPTIONS_RUN:
        break;
    }
    if (options.verbose)
        log_init("zdb", LOG_DEBUG);
    raise_limits();
    int code = run(&server, &options, &err);
    if (err.code)
        log_err(LOG_ERROR, "cannot serve", &err);
    return code;
}
