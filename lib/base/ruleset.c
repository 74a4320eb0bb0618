/* The raw calls, for glibc has none. Nothing is kept: the kernel has the rules. */
#include "base/ruleset.h"

#include "base/cleanup.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ABI_REFER = 2, ABI_TRUNCATE = 3 };

/* Those of the rights that the kernel knows; none without Landlock. */
static uint64_t known(uint64_t rights)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return 0;
    if (abi < ABI_REFER)
        rights &= ~(uint64_t)LANDLOCK_ACCESS_FS_REFER;
    if (abi < ABI_TRUNCATE)
        rights &= ~(uint64_t)LANDLOCK_ACCESS_FS_TRUNCATE;
    return rights;
}

int ruleset_enforce(uint64_t denied, const struct ruleset_tree *trees, size_t n)
{
    const struct landlock_ruleset_attr all = {.handled_access_fs = known(denied)};
    if (all.handled_access_fs == 0)
        return -ENOSYS;
    autoclose int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    if (ruleset < 0)
        return -errno;
    for (size_t i = 0; i < n; i++) {
        const struct landlock_path_beneath_attr rule = {
            .allowed_access = trees[i].rights & all.handled_access_fs, .parent_fd = trees[i].dir};
        if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
            return -errno;
    }
    return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}
