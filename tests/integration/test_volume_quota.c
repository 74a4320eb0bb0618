/*
 * A kernel without simple quotas (before 6.7): pools get full ones, and keep every promise. The
 * kernel is this machine's; the linker puts __wrap_ioctl() in its place, which does not know the
 * newer command.
 */
#include "volume_fixture.h"

#include "btrfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <sys/ioctl.h>

enum { ENABLE_SIMPLE_QUOTA = 4 }; /* not in Debian 12's header */

int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
    const struct btrfs_ioctl_quota_ctl_args *quota = argument;
    if (request != BTRFS_IOC_QUOTA_CTL || quota->cmd != ENABLE_SIMPLE_QUOTA)
        return __real_ioctl(fd, request, argument);
    errno = EINVAL;
    return -1;
}

static int count_assigned(const struct volume_nested *nested, void *data)
{
    *(unsigned *)data += nested->assigned;
    return 0;
}

static void an_older_kernel_gets_full_quotas(void)
{
    struct pool pool;
    pool_make(&pool, VOLUME_LABEL_NEW "older");
    struct volume *volume = pool_open(&pool);
    assert_int_equal(volume_info(volume)->quota, VOLUME_QUOTA_FULL);
    struct record record = space_make(volume, 32 * MiB);
    int os_errno;
    assert_true(space_write(volume, &record, "big", 128 * MiB, &os_errno) <= 33 * MiB);
    assert_int_equal(os_errno, EDQUOT);
    pool_close(volume);

    volume = pool_open(&pool);
    assert_int_equal(volume_info(volume)->quota, VOLUME_QUOTA_FULL);
    volume_must_hold(volume, 1);
    space_release(volume, record.id);
    volume_must_hold(volume, 0);
    pool_close(volume);
}

/* Under full quotas a nested subvolume does not inherit its space's group. */
static void nested_subvolumes_are_put_under_the_limit(void)
{
    struct pool pool;
    pool_make(&pool, VOLUME_LABEL_NEW "older");
    struct volume *volume = pool_open(&pool);
    struct record record = space_make(volume, 32 * MiB);
    autoerr struct err err = {0};
    unsigned assigned = 0;
    int os_errno;
    autofree char *path = space_path(volume, &record, "");
    autoclose int data = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(btrfs_create_subvolume(data, "nested", 0), 0);
    cleanup_fd(&data);
    data = -1;
    assert_ok(volume_adopt_nested(volume, count_assigned, &assigned, &err), &err);
    assert_int_equal(assigned, 1);
    assert_ok(volume_commit(volume, &err), &err);
    assert_true(space_write(volume, &record, "nested/big", 128 * MiB, &os_errno) <= 33 * MiB);
    assert_int_equal(os_errno, EDQUOT);
    space_release(volume, record.id);
    volume_must_hold(volume, 0);
    pool_close(volume);
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(an_older_kernel_gets_full_quotas),
        harness_case(nested_subvolumes_are_put_under_the_limit),
    };
    return harness_main(argc, argv, "volume_quota", cases, array_length(cases));
}
