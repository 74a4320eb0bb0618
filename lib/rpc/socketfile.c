/* Where a socket may be bound. */
#include "rpc/socketfile.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *socketfile_path(const char *url)
{
    size_t length = strlen(SOCKETFILE_SCHEME);
    return strncmp(url, SOCKETFILE_SCHEME, length) == 0 ? url + length : NULL;
}

int socketfile_remove_stale(const char *url, struct err *err)
{
    struct stat st;
    const char *path = socketfile_path(url);
    if (!path)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, url, "only ipc:// is served");
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0
                               : err_errno(err, errno, path, "cannot look at the socket's place");
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, ERR_FAILED_PRECONDITION, 0, path,
                       "something that is not a socket stands in the socket's place");
    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(err, errno, path, "cannot remove the stale socket");
    return 0;
}
