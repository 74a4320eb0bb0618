/*
 * The run directory, see the header. It is opened without following a link and changed through that
 * descriptor, so that nobody can swap it in between.
 */
#include "rundir.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>

static bool find_group(const char *name, gid_t *out_gid)
{
    errno = 0;
    /* cppcheck-suppress getgrnamCalled ; the supervisor has one thread */
    const struct group *group = getgrnam(name);
    if (group)
        *out_gid = group->gr_gid;
    return group != NULL;
}

int rundir_prepare(const struct settings *settings, gid_t *out_gid, struct err *err)
{
    const char *path = settings->run_dir;
    struct stat stat;
    gid_t gid = 0;
    bool has_group = find_group(settings->group, &gid);

    if (!has_group)
        log_warning("the group does not exist: only root may connect", "group", settings->group);
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_errno(err, errno, path, "cannot make the run directory");
    autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &stat) < 0)
        return err_errno(err, errno, path, "cannot use the run directory");
    if (stat.st_uid != geteuid())
        return err_set(err, ERR_PERMISSION_DENIED, 0, path,
                       "the run directory belongs to uid %lu, not to us",
                       (unsigned long)stat.st_uid);
    if (fchown(fd, (uid_t)-1, gid) < 0 || fchmod(fd, has_group ? 02750 : 0750) < 0)
        return err_errno(err, errno, path, "cannot set owner and mode of the run directory");
    *out_gid = gid;
    return 0;
}
