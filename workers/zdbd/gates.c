/* The list is a file without a name: the launcher may read it whenever its disk lets it. */
#include "gates.h"

#include "base/cleanup.h"
#include "node.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

static bool is_shut(const struct pool *pool, const struct namespace *space)
{
    return space->pool == pool && !space->strange && (space->noted.locked || space->noted.frozen);
}

static int write_lines(const struct pool *pool, int fd)
{
    const struct namespaces *all = &pool->node->namespaces;
    for (size_t i = 0; i < all->n; i++) {
        const struct namespace *space = all->by_id[i];
        if (is_shut(pool, space) && dprintf(fd, "%s %s\n", space->noted.frozen ? "freeze" : "lock",
                                            namespace_zdb_name(space)) < 0)
            return -errno;
    }
    return lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

int gates_list(const struct pool *pool, int *out_fd, struct err *err)
{
    autoclose int fd = memfd_create("gates", MFD_CLOEXEC);
    int rc = fd < 0 ? -errno : write_lines(pool, fd);
    if (rc < 0)
        return err_errno(err, -rc, pool->id, "cannot list what is locked or frozen");
    *out_fd = take_fd(&fd);
    return 0;
}
