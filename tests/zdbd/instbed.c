/* One thread: the loop turns until something has happened, never for a time. */
#include "instbed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

static unsigned n_beds;

/* --- what it tells --------------------------------------------------------------------------- */

static void on_changed(struct instance *instance, Storage__V1__ZDBState was, void *data)
{
    struct instbed *bed = data;
    Storage__V1__ZDBInstance described;
    instance_describe(instance, &described);
    assert_int_not_equal(was, described.state);
    assert_true(bed->n_changes < INSTBED_TOLD_MAX);
    bed->changes[bed->n_changes++] = (struct instbed_change){
        .was = was, .is = described.state, .retry_in_ms = described.retry_in_ms};
}

static void on_told(struct instance *instance, const char *topic, const char *reason, void *data)
{
    struct instbed *bed = data;
    assert_ptr_equal(instance, bed->instance);
    assert_true(bed->n_told < INSTBED_TOLD_MAX);
    struct instbed_told *told = &bed->told[bed->n_told++];
    (void)snprintf(told->topic, sizeof told->topic, "%s", topic);
    (void)snprintf(told->reason, sizeof told->reason, "%s", reason);
}

static void print_all(const struct instbed *bed)
{
    for (size_t i = 0; i < bed->n_told; i++)
        print_message("told %s: %s\n", bed->told[i].topic, bed->told[i].reason);
    for (size_t i = 0; i < bed->n_changes; i++)
        print_message("from %s to %s\n", instance_state_text(bed->changes[i].was),
                      instance_state_text(bed->changes[i].is));
    autofree char *path = path_format("%s/zdb/%s/log", bed->run, INSTBED_POOL);
    autofree char *log = file_try_read(path, NULL);
    print_message("%s; the 0-db's log: %s\n", instance_reason(bed->instance), log ? log : "none");
}

void instbed_turn(struct instbed *bed, uint64_t deadline, const char *what)
{
    if (clock_monotonic_ms() > deadline) {
        print_all(bed);
        fail_msg("in vain waited for %s", what);
    }
    (void)uv_run(&bed->loop, UV_RUN_ONCE);
}

const struct instbed_change *instbed_wait(struct instbed *bed, Storage__V1__ZDBState state)
{
    uint64_t deadline = clock_monotonic_ms() + HARNESS_WAIT_MS;
    for (;;) {
        while (bed->n_changes_before < bed->n_changes) {
            const struct instbed_change *change = &bed->changes[bed->n_changes_before++];
            if (change->is == state)
                return change;
        }
        instbed_turn(bed, deadline, instance_state_text(state));
    }
}

const char *instbed_wait_told(struct instbed *bed, const char *topic)
{
    uint64_t deadline = clock_monotonic_ms() + HARNESS_WAIT_MS;
    for (;;) {
        while (bed->n_told_before < bed->n_told) {
            const struct instbed_told *told = &bed->told[bed->n_told_before++];
            if (strcmp(told->topic, topic) == 0)
                return told->reason;
        }
        instbed_turn(bed, deadline, topic);
    }
}

bool instbed_was_told(const struct instbed *bed, const char *topic)
{
    for (size_t i = 0; i < bed->n_told; i++)
        if (strcmp(bed->told[i].topic, topic) == 0)
            return true;
    return false;
}

/* --- life ------------------------------------------------------------------------------------ */

static void make_dir(const char *path, uid_t owner)
{
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(chown(path, owner, owner), 0);
}

/* The loopback of a new network is down at first. */
static bool raise_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

int instbed_main(int argc, char **argv, const char *group, const struct harness_case *cases,
                 size_t n_cases)
{
    if (geteuid() == 0 && (unshare(CLONE_NEWNET) < 0 || !raise_loopback())) {
        perror("a network of its own");
        return EXIT_FAILURE;
    }
    return harness_main(argc, argv, group, cases, n_cases);
}

int instbed_hold(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static void load_settings(struct instbed *bed)
{
    autoerr struct err err = {0};
    autofree char *run = path_format("storaged.run_dir=%s", bed->run);
    autofree char *binary = path_format("zdb.binary=%s", bed->binary);
    autofree char *ports = path_format("zdb.ports=%u-%u", bed->port, bed->port + INSTBED_PORTS - 1);
    char *argv[] = {(char *)"test", (char *)"--set", run,    (char *)"--set",
                    ports,          (char *)"--set", binary, NULL};
    int argc = *bed->binary ? 7 : 5;
    if (!*bed->binary)
        argv[5] = NULL;
    assert_ok(settings_load(&argc, argv, &bed->settings, &err), &err);
}

static void make_instance(struct instbed *bed)
{
    const struct instance_callbacks callbacks = {
        .changed = on_changed, .told = on_told, .data = bed};
    assert_int_equal(
        instance_new(&bed->loop, bed->settings, INSTBED_POOL, &callbacks, &bed->instance, NULL), 0);
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void use_standin(struct instbed *bed)
{
    (void)snprintf(bed->binary, sizeof bed->binary, "%s/standin%u", harness_dir(), n_beds);
    command_ok("cp", STORAGED_BIN_DIR "/test_zdbd_standin", bed->binary);
}

void instbed_open(struct instbed *bed, const char *script)
{
    memset(bed, 0, sizeof *bed);
    link_set_times(&(struct link_times){.ping_ms = 200, .answer_ms = 2000, .start_ms = 20000});
    *instance_times() = (struct instance_times){.stop_ms = 5000,
                                                .canary_ms = 50,
                                                .backoff_min_ms = 2,
                                                .backoff_max_ms = 16,
                                                .forget_ms = 60000,
                                                .launch_ms = 30000};
    n_beds++;
    (void)snprintf(bed->run, sizeof bed->run, "%s/run%u", harness_dir(), n_beds);
    (void)snprintf(bed->home, sizeof bed->home, "%s/home%u", harness_dir(), n_beds);
    make_dir(bed->run, 0);
    make_dir(bed->home, INSTBED_UID);
    bed->port = INSTBED_PORT;
    if (script) {
        instbed_script(bed, script);
        use_standin(bed);
    }
    assert_int_equal(uv_loop_init(&bed->loop), 0);
    (void)uv_timer_init(&bed->loop, &bed->tick);
    (void)uv_timer_start(&bed->tick, on_tick, 1000, 1000);
    load_settings(bed);
    make_instance(bed);
}

static void let_go(struct instbed *bed)
{
    instance_close(bed->instance);
    (void)uv_timer_stop(&bed->tick);
    assert_int_equal(uv_run(&bed->loop, UV_RUN_DEFAULT), 0);
    (void)uv_timer_start(&bed->tick, on_tick, 1000, 1000);
}

void instbed_renew(struct instbed *bed)
{
    let_go(bed);
    make_instance(bed);
}

void instbed_close(struct instbed *bed)
{
    pid_t pid = instbed_pid(bed);
    let_go(bed);
    if (pid > 0)
        (void)kill(pid, SIGKILL);
    uv_close((uv_handle_t *)&bed->tick, NULL);
    assert_int_equal(uv_run(&bed->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&bed->loop), 0);
    settings_free(bed->settings);
}

/* --- the stand-in ---------------------------------------------------------------------------- */

void instbed_script(const struct instbed *bed, const char *script)
{
    autofree char *path = path_format("%s/script", bed->home);
    autofree char *fresh = path_format("%s/script.new", bed->home);
    file_write(fresh, script, strlen(script));
    assert_int_equal(chmod(fresh, 0644), 0);
    assert_int_equal(rename(fresh, path), 0);
}

unsigned instbed_count(const struct instbed *bed, const char *command)
{
    autofree char *path = path_format("%s/commands", bed->home);
    autofree char *all = file_try_read(path, NULL);
    size_t length = strlen(command);
    unsigned n = 0;
    for (const char *at = all; at && *at; at = strchr(at, '\n') + 1)
        n += strncmp(at, command, length) == 0 && at[length] == '\n';
    return n;
}

/* --- the instance ---------------------------------------------------------------------------- */

void instbed_want(struct instbed *bed)
{
    const struct process_home home = {.pool = INSTBED_POOL,
                                      .path = bed->home,
                                      .uid = INSTBED_UID,
                                      .gid = INSTBED_UID,
                                      .port = bed->port};
    instance_want(bed->instance, &home);
}

void instbed_up(struct instbed *bed)
{
    instbed_want(bed);
    (void)instbed_wait(bed, IS(UP));
}

pid_t instbed_pid(const struct instbed *bed)
{
    Storage__V1__ZDBInstance described;
    instance_describe(bed->instance, &described);
    return (pid_t)described.pid;
}

void instbed_ignore(const redisReply *reply, const struct err *err, void *data)
{
    (void)reply;
    (void)err;
    (void)data;
}

struct asked {
    bool done;
    char text[4096];
};

static void on_answer(const redisReply *reply, const struct err *err, void *data)
{
    struct asked *asked = data;
    asked->done = true;
    (void)snprintf(asked->text, sizeof asked->text, "%s",
                   err          ? err_code_name(err->code)
                   : reply->str ? reply->str
                                : "");
}

const char *(instbed_ask)(struct instbed *bed, const char *const *words)
{
    static struct asked asked;
    autoerr struct err err = {0};
    uint64_t deadline = clock_monotonic_ms() + HARNESS_WAIT_MS;
    int n = 0;
    while (words[n])
        n++;
    asked.done = false;
    assert_ok(instance_send(bed->instance, n, words, NULL, on_answer, &asked, &err), &err);
    while (!asked.done)
        instbed_turn(bed, deadline, words[0]);
    return asked.text;
}
