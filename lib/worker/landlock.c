/* Landlock, see the header. */
#include "worker/landlock.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/ruleset.h"

#include <errno.h>
#include <fcntl.h>

int landlock_confine_writes(const char *dir, struct err *err)
{
    autoclose int below = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    autoclose int devices = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
    const struct ruleset_tree trees[] = {{below, RULESET_CHANGES},
                                         {devices, LANDLOCK_ACCESS_FS_WRITE_FILE}};
    if (below < 0 || devices < 0)
        return err_errno(err, errno, "Landlock", "cannot be applied");
    int rc = ruleset_enforce(RULESET_CHANGES, trees, array_length(trees));
    if (rc == -ENOSYS) {
        log_warning("the kernel has no Landlock: where this worker writes is not confined");
        return 0;
    }
    return rc < 0 ? err_errno(err, -rc, "Landlock", "cannot be applied") : 0;
}
