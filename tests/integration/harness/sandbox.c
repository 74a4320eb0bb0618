/*
 * The sandbox. Three processes: the outer one that ctest started, which waits and then looks for
 * leftovers; the init of a fresh pid namespace with its own mounts, which reaps; and the one that
 * runs the tests. When init ends the kernel kills every process in the sandbox, and with the last
 * of them all its mounts go; init dies with the outer process (PDEATHSIG). Loops detach by
 * themselves then, zrams are removed by the outer process.
 */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct ledger *sandbox_ledger;
static char sandbox_dir[HARNESS_PATH_MAX];

_Noreturn void harness_fatal(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("harness: ", stderr);
    vfprintf(stderr, fmt, args);
    fprintf(stderr, ": %s\n", strerror(errno));
    va_end(args);
    _exit(EXIT_FAILURE);
}

const char *harness_dir(void)
{
    return sandbox_dir;
}

/* --- what the machine must have -------------------------------------------------------------- */

static const char *machine_lacks(void)
{
    if (geteuid() != 0)
        return "must run as root";
    if (access("/dev/loop-control", R_OK | W_OK) != 0)
        return "no loop devices (/dev/loop-control)";
    autofree char *filesystems = file_read("/proc/filesystems", NULL);
    if (!strstr(filesystems, "\tbtrfs\n"))
        return "no btrfs in this kernel";
    if (access("/sbin/mkfs.btrfs", X_OK) != 0)
        return "no mkfs.btrfs";
    return NULL;
}

/* --- init ------------------------------------------------------------------------------------ */

/* The group of the tests exists in here only. */
static void add_group(void)
{
    autofree char *path = path_format("%s/group", sandbox_dir);
    autofree char *groups = file_read("/etc/group", NULL);
    autofree char *all = path_format("%s%s:x:%d:\n", groups, HARNESS_GROUP, HARNESS_GID);
    file_write(path, all, strlen(all));
    if (mount(path, "/etc/group", NULL, MS_BIND, NULL) != 0)
        harness_fatal("bind of /etc/group");
}

static void make_private_world(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        harness_fatal("own mount namespace");
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
        harness_fatal("own /proc");
    if (mount("tmpfs", sandbox_dir, "tmpfs", 0, "mode=0755,size=90%") != 0)
        harness_fatal("tmpfs on %s", sandbox_dir);
    add_group();
}

static int exit_code(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

_Noreturn static void init_run(int outer_alive, int (*run)(void *data), void *data)
{
    (void)prctl(PR_SET_NAME, "sandbox-init");
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct pollfd outer = {.fd = outer_alive, .events = POLLIN};
    if (poll(&outer, 1, 0) != 0)
        _exit(EXIT_FAILURE); /* it died before the signal was asked for */
    make_private_world();
    pid_t tests = fork();
    if (tests < 0)
        harness_fatal("fork");
    if (tests == 0) {
        (void)signal(SIGINT, SIG_DFL);
        (void)signal(SIGTERM, SIG_DFL);
        (void)close(outer_alive);
        int code = run(data);
        if (code == 0)
            exit(code);
        (void)fflush(NULL);
        _exit(code); /* what a failed test did not free is no news */
    }
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, 0)) != tests;)
        if (pid < 0 && errno != EINTR)
            harness_fatal("waitpid");
    _exit(exit_code(status));
}

/* --- the outer process ----------------------------------------------------------------------- */

/* Devices that the tests left. Those of a test that failed or died are removed quietly. */
static unsigned remove_leftovers(bool passed)
{
    uint64_t deadline = clock_monotonic_ms() + 20000;
    unsigned left = 0;
    for (unsigned i = 0; i < sandbox_ledger->n_loops; i++) {
        unsigned number = sandbox_ledger->loops[i];
        if (!loop_exists(number))
            continue;
        bool removed = loop_remove(number, deadline);
        if (removed && !passed)
            continue;
        fprintf(stderr, "harness: /dev/loop%u was left%s\n", number, removed ? "" : ", and stays");
        left++;
    }
    for (unsigned i = 0; i < sandbox_ledger->n_zrams; i++) {
        unsigned number = sandbox_ledger->zrams[i];
        if (!zram_exists(number))
            continue;
        bool removed = zram_remove(number, deadline);
        if (removed && !passed)
            continue;
        fprintf(stderr, "harness: /dev/zram%u was left%s\n", number, removed ? "" : ", and stays");
        left++;
    }
    return left;
}

static int sandbox_run(int (*run)(void *data), void *data)
{
    const char *tmp = getenv("TMPDIR");
    int n = snprintf(sandbox_dir, sizeof sandbox_dir, "%s/storaged-test.XXXXXX",
                     tmp && *tmp ? tmp : "/tmp");
    if (n < 0 || n > 64 || !mkdtemp(sandbox_dir)) /* unix sockets below it: 107 bytes in all */
        harness_fatal("temporary directory %s", sandbox_dir);
    sandbox_ledger = mmap(NULL, sizeof *sandbox_ledger, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int alive[2];
    if (sandbox_ledger == MAP_FAILED || pipe2(alive, O_CLOEXEC) != 0)
        harness_fatal("sandbox");
    /* ^C ends the tests; then this process cleans up. */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    autoclose int own_pids = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (own_pids < 0 || unshare(CLONE_NEWPID) != 0)
        harness_fatal("own pid namespace");
    pid_t init = fork();
    if (init < 0)
        harness_fatal("fork");
    if (init == 0) {
        (void)close(alive[1]);
        init_run(alive[0], run, data);
    }
    (void)setns(own_pids,
                CLONE_NEWPID); /* or no thread could start here: LeakSanitizer makes one */
    int status;
    while (waitpid(init, &status, 0) < 0)
        if (errno != EINTR)
            harness_fatal("waitpid");
    int code = exit_code(status);
    unsigned left = remove_leftovers(code == 0);
    if (rmdir(sandbox_dir) != 0) {
        fprintf(stderr, "harness: %s was left: %s\n", sandbox_dir, strerror(errno));
        left++;
    }
    return code == 0 && left > 0 ? EXIT_FAILURE : code;
}

/* --- running the cases ----------------------------------------------------------------------- */

struct group {
    const char *name;
    const struct harness_case *cases;
    size_t n_cases;
};

static struct {
    const char *name;
    bool passed, skipped;
    unsigned problems, n_skipped;
} running;

_Noreturn void harness_skip(const char *reason, ...)
{
    va_list args;
    va_start(args, reason);
    fprintf(stderr, "SKIP: %s: ", running.name);
    vfprintf(stderr, reason, args);
    fputs("\n", stderr);
    va_end(args);
    running.skipped = true;
    skip();
    abort(); /* skip() does not return, and does not say so */
}

void teardown_problem(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("harness: ", stderr);
    vfprintf(stderr, fmt, args);
    fputs("\n", stderr);
    va_end(args);
    running.problems++;
}

static void case_run(void **state)
{
    const struct harness_case *this = *state;
    running.name = this->name;
    this->run();
    running.passed = true;
}

static int case_setup(void **state)
{
    (void)state;
    running.passed = running.skipped = false;
    running.problems = 0;
    return 0;
}

static int case_teardown(void **state)
{
    (void)state;
    freezers_end_all();
    nodes_end_all(running.passed || running.skipped);
    unmount_below(sandbox_dir);
    disks_remove_all();
    command_results_free();
    running.n_skipped += running.skipped;
    return running.problems > 0 ? -1 : 0;
}

static int group_run(void *data)
{
    const struct group *group = data;
    struct CMUnitTest *tests = calloc(group->n_cases, sizeof *tests);
    if (!tests)
        harness_fatal("memory");
    for (size_t i = 0; i < group->n_cases; i++)
        tests[i] = (struct CMUnitTest){
            .name = group->cases[i].name,
            .test_func = case_run,
            .setup_func = case_setup,
            .teardown_func = case_teardown,
            .initial_state = (void *)(uintptr_t)&group->cases[i],
        };
    int failed = _cmocka_run_group_tests(group->name, tests, group->n_cases, NULL, NULL);
    free(tests);
    if (failed != 0)
        return EXIT_FAILURE;
    return running.n_skipped > 0 && running.n_skipped == group->n_cases ? HARNESS_SKIP : 0;
}

int harness_main(int argc, char **argv, const char *group, const struct harness_case *cases,
                 size_t n_cases)
{
    if (argc == 3 && strcmp(argv[1], "--watch") == 0)
        return watch_main(argv[2]);
    const char *lacks = machine_lacks();
    if (lacks) {
        printf("SKIP: %s: %s\n", group, lacks);
        return HARNESS_SKIP;
    }
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    struct group all = {.name = group, .cases = cases, .n_cases = n_cases};
    return sandbox_run(group_run, &all);
}
