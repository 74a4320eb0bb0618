/* The outer process owns the directory, the inner one runs cmocka; servers die with the latter. */
#include "fixture.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct server zdb;
static struct client *clients[FIXTURE_CLIENTS];
static char root[64];
static unsigned n_run;

struct client *on(unsigned number)
{
    assert_true(number < FIXTURE_CLIENTS);
    if (!clients[number])
        clients[number] = server_connect(&zdb);
    return clients[number];
}

struct client *on_tcp(unsigned number)
{
    assert_true(number < FIXTURE_CLIENTS);
    hangup(number);
    return clients[number] = client_open_tcp(zdb.port);
}

void hangup(unsigned number)
{
    client_close(clients[number]);
    clients[number] = NULL;
}

void hangup_all(void)
{
    for (unsigned i = 0; i < FIXTURE_CLIENTS; i++)
        hangup(i);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_tree(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int case_setup(void **state)
{
    char dir[sizeof root + 16];
    (void)state;
    (void)snprintf(dir, sizeof dir, "%s/%u", root, n_run++);
    server_init(&zdb, dir);
    return mkdir(dir, 0700);
}

static int case_teardown(void **state)
{
    (void)state;
    hangup_all();
    server_end(&zdb);
    remove_tree(zdb.dir);
    return 0;
}

static void case_run(void **state)
{
    const struct zdb_case *this = *state;
    this->run();
}

static int run_group(const char *group, const struct zdb_case *cases, size_t n)
{
    struct CMUnitTest *tests = calloc(n, sizeof *tests);
    if (!tests)
        return EXIT_FAILURE;
    for (size_t i = 0; i < n; i++)
        tests[i] = (struct CMUnitTest){
            .name = cases[i].name,
            .test_func = case_run,
            .setup_func = case_setup,
            .teardown_func = case_teardown,
            .initial_state = (void *)(uintptr_t)&cases[i],
        };
    int failed = _cmocka_run_group_tests(group, tests, n, NULL, NULL);
    free(tests);
    return failed;
}

/* Memory if there is some: the files are what counts, not the disk under them. */
static bool make_root(void)
{
    const char *tmp = getenv("TMPDIR");
    if (!tmp || !*tmp)
        tmp = access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";
    int size = snprintf(root, sizeof root, "%s/zdb-test.XXXXXX", tmp);
    return size > 0 && (size_t)size < sizeof root && mkdtemp(root);
}

int zdb_main(int argc, char **argv, const char *group, const struct zdb_case *cases, size_t n)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    if (!make_root()) {
        perror("zdb-test: temporary directory");
        return EXIT_FAILURE;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    pid_t outer = getpid(), tests = fork();
    if (tests == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        int failed = getppid() == outer ? run_group(group, cases, n) : 1;
        (void)fflush(NULL);
        if (failed != 0)
            _exit(EXIT_FAILURE); /* what a failed test did not free is no news */
        exit(EXIT_SUCCESS);
    }
    (void)signal(SIGINT, SIG_IGN); /* ends the tests; then this process cleans up */
    (void)signal(SIGTERM, SIG_IGN);
    int status = 1;
    while (tests > 0 && waitpid(tests, &status, 0) < 0 && errno == EINTR)
        ;
    remove_tree(root);
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}
