/* Control groups, on folders that look like one: which of them a 0-db gets is decided by the
 * controllers that its parent hands on. */
#include "cgroup.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define POOL  "0b6a9a0c-4f2e-4d0c-9d53-0d1f7b2c9e11"
#define CHILD "zdb-" POOL

static char dir[] = "/tmp/zdbd-cgroup.XXXXXX";
static int own = -1;

static int make_dir(void **state)
{
    (void)state;
    (void)memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    if (!mkdtemp(dir))
        return -1;
    own = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return own < 0 ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status, (void)type, (void)at;
    return remove(path);
}

static int remove_dir(void **state)
{
    (void)state;
    (void)close(own);
    return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void store(const char *name, const char *text)
{
    autoclose int fd = openat(own, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void assert_holds(const char *name, const char *expected)
{
    char text[256] = "";
    autoclose int fd = openat(own, name, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && read(fd, text, sizeof text - 1) >= 0);
    assert_string_equal(text, expected);
}

/* The kernel makes the files with the group; these stand there before. */
static void make_child(bool weight)
{
    assert_int_equal(mkdirat(own, CHILD, 0755), 0);
    store(CHILD "/memory.max", "");
    store(CHILD "/cgroup.procs", "");
    if (weight)
        store(CHILD "/io.weight", "");
}

static void all_that_is_handed_on_is_used(void **state)
{
    (void)state;
    store("cgroup.subtree_control", "cpu io memory\n");
    make_child(true);
    assert_true(cgroup_enter(own, POOL, 4294967296));
    assert_holds(CHILD "/memory.max", "4294967296");
    assert_holds(CHILD "/io.weight", "default 100");
    assert_holds(CHILD "/cgroup.procs", "0");
}

static void memory_alone_is_no_share_of_the_io(void **state)
{
    (void)state;
    store("cgroup.subtree_control", "memory\n");
    make_child(true);
    assert_false(cgroup_enter(own, POOL, 4096));
    assert_holds(CHILD "/memory.max", "4096");
    assert_holds(CHILD "/io.weight", "");
    assert_holds(CHILD "/cgroup.procs", "0");
}

static void a_kernel_without_weights_is_told(void **state)
{
    (void)state;
    store("cgroup.subtree_control", "io\n");
    make_child(false);
    assert_false(cgroup_enter(own, POOL, 4096));
    assert_holds(CHILD "/memory.max", "");
}

static void where_nothing_is_handed_on_there_is_no_group(void **state)
{
    static const char *const controllers[] = {"", "\n", "cpu pids\n", "iocost memory.high\n"};
    (void)state;
    assert_false(cgroup_enter(own, POOL, 4096)); /* not even the file: no cgroup */
    for (size_t i = 0; i < array_length(controllers); i++) {
        store("cgroup.subtree_control", controllers[i]);
        assert_false(cgroup_enter(own, POOL, 4096));
    }
    assert_int_equal(faccessat(own, CHILD, F_OK, 0), -1);
}

static void a_group_that_cannot_be_entered_gives_no_share(void **state)
{
    (void)state;
    store("cgroup.subtree_control", "io memory\n");
    assert_false(cgroup_enter(own, POOL, 4096)); /* made, and has none of the files */
    assert_int_equal(faccessat(own, CHILD, F_OK, 0), 0);
}

int main(void)
{
#define with_dir(function) cmocka_unit_test_setup_teardown(function, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        with_dir(all_that_is_handed_on_is_used),
        with_dir(memory_alone_is_no_share_of_the_io),
        with_dir(a_kernel_without_weights_is_told),
        with_dir(where_nothing_is_handed_on_there_is_no_group),
        with_dir(a_group_that_cannot_be_entered_gives_no_share),
    };
    return cmocka_run_group_tests_name("zdbd_cgroup", tests, NULL, NULL);
}
