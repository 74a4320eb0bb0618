/* The page lies in the directory of the running test. */
#include "faulty.h"

#include "fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

struct badcalls *bad;

static char page_path[PATH_MAX], sanitizer[PATH_MAX];
static const char *const environment[] = {"LD_PRELOAD=" BADCALLS_LIBRARY, page_path, sanitizer,
                                          NULL};

static void prepare(void)
{
    const char *options = getenv("ASAN_OPTIONS");
    (void)snprintf(sanitizer, sizeof sanitizer, "ASAN_OPTIONS=%s%sverify_asan_link_order=0",
                   options ? options : "", options ? ":" : "");
    (void)snprintf(page_path, sizeof page_path, "BADCALLS=%s/badcalls", zdb.dir);
    autoclose int fd = open(strchr(page_path, '=') + 1, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && ftruncate(fd, sizeof *bad) == 0);
    if (bad)
        (void)munmap(bad, sizeof *bad);
    bad = mmap(NULL, sizeof *bad, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(bad != MAP_FAILED);
    bad->tickets = -1;
    bad->unlinks_held = 0;
    faulty_disarm();
}

void faulty_start(const char *const *flags)
{
    prepare();
    zdb.environment = environment;
    server_start(&zdb, flags);
    zdb.environment = NULL;
}

bool faulty_try_start(const char *const *flags, enum badcall call, int skip, int fail, int error)
{
    prepare();
    faulty_arm(call, skip, fail, error);
    zdb.environment = environment;
    bool serves = server_try_start(&zdb, flags);
    zdb.environment = NULL;
    return serves;
}

int faulty_start_refused(enum badcall call, int skip, int fail, int error)
{
    prepare();
    faulty_arm(call, skip, fail, error);
    zdb.environment = environment;
    int code = server_start_refused(&zdb, NULL);
    zdb.environment = NULL;
    return code;
}

void faulty_restart(const char *const *flags)
{
    hangup_all();
    server_kill(&zdb);
    faulty_start(flags);
}

void faulty_arm(enum badcall call, int skip, int fail, int error)
{
    bad->call = bad->also = BADCALL_NONE;
    bad->skip = skip;
    bad->fail = fail;
    bad->error = error;
    bad->failed = 0;
    bad->call = (int)call;
}

void faulty_arm_two(enum badcall call, enum badcall also, int skip, int fail, int error)
{
    faulty_arm(BADCALL_NONE, skip, fail, error);
    bad->also = (int)also;
    bad->call = (int)call;
}

void faulty_disarm(void)
{
    faulty_arm(BADCALL_NONE, 0, 0, 0);
}
