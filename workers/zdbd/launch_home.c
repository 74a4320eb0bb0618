/*
 * The home: its lock, `instance`, and the directories of the 0-db's files.
 *
 *   <home>/instance   0600: "port=<n>\npassword=<64 hex digits>\n", made once and then only read.
 *                     One that reads otherwise is left as it is: clients know that port
 *   <home>/data       0700
 *   <home>/index      0700
 */
#include "launch_private.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/step.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#define INSTANCE     "instance"
#define INSTANCE_NEW "instance.new"

enum { INSTANCE_MAX = 128, PASSWORD_BYTES = (LAUNCH_PASSWORD_SIZE - 1) / 2 };

int launch_take_home(struct launch *launch, struct err *err)
{
    struct stat status;
    autoclose int fd = open(launch->home, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        return err_errno(err, errno, launch->home, "cannot open the home of the 0-db");
    if (status.st_uid != launch->record.uid)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, launch->home,
                       "the home of the 0-db belongs to uid %u, not to %u", status.st_uid,
                       launch->record.uid);
    if (step_around(flock(fd, LOCK_EX | LOCK_NB)) < 0) {
        if (errno == EWOULDBLOCK)
            launch->failure = LAUNCH_LOCKED;
        return err_errno(err, errno, launch->home, "cannot lock the home of the 0-db");
    }
    if (dup2(fd, LAUNCH_HOME_FD) < 0)
        return err_errno(err, errno, launch->home, "cannot keep the home's lock");
    return 0;
}

/* ---- port and password ----------------------------------------------------------------------- */

static int format_instance(char text[INSTANCE_MAX], unsigned port, const char *password)
{
    return snprintf(text, INSTANCE_MAX, "port=%u\npassword=%s\n", port, password);
}

static int not_whole(const struct launch *launch, struct err *err)
{
    return err_set(err, ERR_DATA_LOSS, 0, launch->home,
                   "the file \"" INSTANCE "\" does not say port and password of the 0-db; without "
                   "it both are made anew");
}

/* What is read must be what would be written, byte by byte. */
static int read_instance(struct launch *launch, struct err *err)
{
    char text[INSTANCE_MAX] = "", again[INSTANCE_MAX], password[LAUNCH_PASSWORD_SIZE] = "";
    unsigned short port = 0;
    struct stat status;
    autoclose int fd =
        openat(LAUNCH_HOME_FD, INSTANCE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return -ERR_NOT_FOUND;
    if (fd < 0 || fstat(fd, &status) < 0)
        return err_errno(err, errno, launch->home, "cannot open its file \"" INSTANCE "\"");
    if (!S_ISREG(status.st_mode))
        return not_whole(launch, err);
    ssize_t length = read(fd, text, sizeof text - 1);
    if (length < 0)
        return err_errno(err, errno, launch->home, "cannot read its file \"" INSTANCE "\"");
    int n = sscanf(text, "port=%5hu\npassword=%64[0-9a-f]", &port, password);
    (void)format_instance(again, port, password);
    if (n != 2 || port == 0 || strlen(password) != sizeof password - 1 ||
        (size_t)length != strlen(again) || memcmp(text, again, (size_t)length) != 0)
        return not_whole(launch, err);
    launch->record.port = port;
    memcpy(launch->password, password, sizeof password);
    return 0;
}

static int make_password(struct launch *launch, struct err *err)
{
    uint8_t bytes[PASSWORD_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return err_errno(err, errno, launch->home, "cannot make a password");
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(launch->password + 2 * i, 3, "%02x", bytes[i]);
    explicit_bzero(bytes, sizeof bytes);
    return 0;
}

static int write_new(const char *text, size_t length)
{
    autoclose int fd = step_around(openat(
        LAUNCH_HOME_FD, INSTANCE_NEW, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (fd < 0)
        return -errno;
    ssize_t n = step_around(write(fd, text, length));
    if (n != (ssize_t)length)
        return n < 0 ? -errno : -ENOSPC;
    return step_around(fsync(fd)) < 0 ? -errno : 0;
}

static int write_instance(struct launch *launch, struct err *err)
{
    char text[INSTANCE_MAX];
    int length = format_instance(text, launch->record.port, launch->password);
    (void)step_around(unlinkat(LAUNCH_HOME_FD, INSTANCE_NEW, 0));
    int rc = write_new(text, (size_t)length);
    if (rc == 0 &&
        step_around(renameat(LAUNCH_HOME_FD, INSTANCE_NEW, LAUNCH_HOME_FD, INSTANCE)) < 0)
        rc = -errno;
    if (rc == 0 && step_around(fsync(LAUNCH_HOME_FD)) < 0)
        rc = -errno;
    if (rc == 0)
        return 0;
    (void)unlinkat(LAUNCH_HOME_FD, INSTANCE_NEW, 0);
    return err_errno(err, -rc, launch->home, "cannot write its file \"" INSTANCE "\"");
}

static int check_port(struct launch *launch, uint16_t port, enum launch_failure busy,
                      struct err *err)
{
    int rc = launch_try_port(launch->listen, port, busy == LAUNCH_PORT_TAKEN);
    if (rc == 0)
        return 0;
    launch->failure = rc == -EADDRINUSE ? busy : LAUNCH_OTHER;
    return err_errno(err, -rc, launch->listen, "the 0-db cannot have port %u", port);
}

static int make_instance(struct launch *launch, struct err *err)
{
    int rc = check_port(launch, launch->proposed_port, LAUNCH_PORT_BUSY, err);
    if (rc == 0)
        rc = make_password(launch, err);
    if (rc < 0)
        return rc;
    launch->record.port = launch->proposed_port;
    return write_instance(launch, err);
}

int launch_keep_instance(struct launch *launch, struct err *err)
{
    int rc = read_instance(launch, err);
    if (rc == -ERR_NOT_FOUND)
        return make_instance(launch, err);
    if (rc < 0)
        return rc;
    uint16_t port = launch->record.port;
    if (port < launch->first_port || port > launch->last_port)
        log_warning("the port that is kept on the pool is outside of the configured range", "pool",
                    launch->record.pool, "port", log_u64(port));
    return check_port(launch, port, LAUNCH_PORT_TAKEN, err);
}

/* ---- directories ----------------------------------------------------------------------------- */

int launch_make_places(struct launch *launch, struct err *err)
{
    static const char *const names[] = {"data", "index"};
    for (size_t i = 0; i < array_length(names); i++) {
        if (step_around(mkdirat(LAUNCH_HOME_FD, names[i], 0700)) < 0 && errno != EEXIST)
            return err_errno(err, errno, launch->home, "cannot make its \"%s\"", names[i]);
        autoclose int fd =
            openat(LAUNCH_HOME_FD, names[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return err_errno(err, errno, launch->home, "cannot open its \"%s\"", names[i]);
    }
    return 0;
}
