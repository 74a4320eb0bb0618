/* Claims, see the header. No state. */
#include "claim.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

int claim_open(int claim, const char *path, int flags, const char *object, int *out_fd,
               struct err *err)
{
    struct stat claimed, opened;
    autoclose int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, object, "cannot open %s; nothing was written", path);
    if (fstat(claim, &claimed) < 0 || fstat(fd, &opened) < 0 || !S_ISBLK(opened.st_mode) ||
        claimed.st_rdev != opened.st_rdev)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, object,
                       "%s is another disk by now; nothing was written", path);
    *out_fd = take_fd(&fd);
    return 0;
}
