/*
 * What diskd hears of disks where the kernel has no inotify instance left for root: the linker puts
 * __wrap_inotify_init1() in the place of the real one.
 */
#include "watch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

int __wrap_inotify_init1(int flags);

int __wrap_inotify_init1(int flags)
{
    (void)flags;
    errno = EMFILE;
    return -1;
}

static void uevents_are_heard_without_inotify(void **state)
{
    static const struct watch_callbacks callbacks = {0};
    struct watch *watch = NULL;
    struct err err = {0};
    uv_loop_t loop;
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(watch_open(&loop, "/sys", "/proc", &callbacks, &watch, &err), 0);
    watch_attributes(watch, "loop0");
    watch_forget(watch, "loop0");
    watch_close(watch);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uevents_are_heard_without_inotify),
    };
    return cmocka_run_group_tests_name("disk_watch", tests, NULL, NULL);
}
