/* connect(2) to a unix socket never waits when it is told not to: it is made, or refused at once.
 */
#include "link_socket.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static int check_peer(int fd, pid_t pid, const char *path, struct err *err)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return err_errno(err, errno, path, "cannot see who listens");
    if (peer.pid == pid)
        return 0;
    return err_set(err, ERR_PERMISSION_DENIED, 0, path, "process %d listens, and not %d",
                   (int)peer.pid, (int)pid);
}

int link_socket_connect(const char *dir, pid_t pid, int *out_fd, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", dir);
    if (length < 0 || (size_t)length >= sizeof address.sun_path)
        return err_errno(err, ENAMETOOLONG, dir, "cannot connect");
    autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return err_errno(err, errno, address.sun_path, "cannot connect");
    int rc = check_peer(fd, pid, address.sun_path, err);
    if (rc == 0)
        *out_fd = take_fd(&fd);
    return rc;
}

static bool is_password(const char *text, size_t length)
{
    if (length > LINK_PASSWORD_LENGTH && text[LINK_PASSWORD_LENGTH] != '\n')
        return false;
    for (size_t i = 0; i < LINK_PASSWORD_LENGTH; i++)
        if (i >= length || !isxdigit((unsigned char)text[i]))
            return false;
    return true;
}

int link_socket_read_password(const char *dir, char out_password[LINK_PASSWORD_LENGTH + 1],
                              struct err *err)
{
    char path[PATH_MAX], text[LINK_PASSWORD_LENGTH + 2];
    struct stat status;
    (void)snprintf(path, sizeof path, "%s/password", dir);
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) < 0)
        return err_errno(err, errno, path, "no password");
    ssize_t n = S_ISREG(status.st_mode) ? read(fd, text, sizeof text) : 0;
    if (n < 0 || !is_password(text, (size_t)n))
        return err_set(err, ERR_DATA_LOSS, 0, path, "it does not hold a password");
    memcpy(out_password, text, LINK_PASSWORD_LENGTH);
    out_password[LINK_PASSWORD_LENGTH] = '\0';
    explicit_bzero(text, sizeof text);
    return 0;
}
