/*
 * Passwords come from a file or stdin: what stands in argv can be read by everybody on the machine.
 * They are read a byte at a time, so that nothing beyond the first line is taken from who shares
 * the stream, and no buffer but ours has to be cleared.
 */
#include "command.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

void password_clear(struct password *password)
{
    explicit_bzero(password, sizeof *password);
}

static int read_line(int fd, const char *path, struct password *password, struct err *err)
{
    ssize_t n;
    uint8_t *at = password->bytes;
    while ((n = read(fd, at, 1)) == 1 && *at != '\n') {
        if (++at == password->bytes + sizeof password->bytes)
            return err_set(err, ERR_INVALID_ARGUMENT, 0, path,
                           "the password is longer than %d bytes", PASSWORD_MAX_BYTES);
    }
    if (n < 0)
        return err_errno(err, errno, path, "cannot read the password");
    password->length = (size_t)(at - password->bytes);
    if (password->length == 0)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, path, "its first line holds no password");
    return 0;
}

int session_read_password(const struct session *session, struct password *out_password,
                          struct err *err)
{
    const char *path = session_flag(session, "password-file");
    if (!path)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, NULL,
                       "--password-file is required: a file whose first line is the password, or "
                       "- for stdin");
    if (strcmp(path, "-") == 0)
        return read_line(STDIN_FILENO, "stdin", out_password, err);
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    return fd < 0 ? err_errno(err, errno, path, "cannot open the password's file")
                  : read_line(fd, path, out_password, err);
}
