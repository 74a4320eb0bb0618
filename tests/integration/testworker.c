/*
 * A worker that does nothing, and misbehaves on request. It is run under the name of its part:
 *
 *   ready     behaves
 *   exits     says why and leaves with 3 before READY
 *   mute      never becomes READY
 *   stubborn  ignores STOP and SHUTDOWN
 *   busy      leaves something busy at SHUTDOWN
 *   clings    a process that shares its descriptor table outlives it, as a thread in D state would;
 *             its pid is the worker's status
 *   frozen    writes to the file that $TESTWORKER_FILE names, on a thread, when it gets SIGUSR2
 *
 * SIGUSR1 hangs the loop of any; SIGUSR2 ends any other than `frozen` with 4.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "worker/worker.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { HELPER_LIFE_S = 60 }; /* it ends by itself if no test does it */

static uv_signal_t hang_signal, crash_signal;

static _Noreturn void wait_for_ever(void)
{
    for (;;)
        (void)pause();
}

static int behave(struct worker *worker, struct err *err)
{
    (void)worker;
    (void)err;
    return 0;
}

static int leave(struct worker *worker, struct err *err)
{
    (void)worker;
    log_error("no bread in the house");
    return err_set(err, ERR_UNAVAILABLE, 0, "kitchen", "the baker is ill");
}

static int stay_mute(struct worker *worker, struct err *err)
{
    (void)worker;
    (void)err;
    wait_for_ever();
}

static int cling(struct worker *worker, struct err *err)
{
    (void)err;
    long pid = syscall(SYS_clone, (unsigned long)CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)alarm(HELPER_LIFE_S);
        wait_for_ever();
    }
    worker_status(worker, "%ld", pid);
    return 0;
}

/* Blocks in the kernel while the filesystem of the file is frozen. */
static void write_file(void *data)
{
    log_info("about to write");
    autoclose int fd = open(data, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    (void)!write(fd, "x", 1);
}

static void on_write(uv_signal_t *handle, int signal_number)
{
    static uv_thread_t thread;
    struct worker *worker = handle->data;
    (void)signal_number;
    worker_busy(worker, (const char *const[]){"the frozen file", NULL});
    (void)uv_thread_create(&thread, write_file, getenv("TESTWORKER_FILE"));
}

static void on_hang(uv_signal_t *handle, int signal_number)
{
    (void)handle;
    (void)signal_number;
    wait_for_ever();
}

static void on_crash(uv_signal_t *handle, int signal_number)
{
    (void)handle;
    (void)signal_number;
    _exit(4);
}

static void end(struct worker *worker, const char *left)
{
    uv_close((uv_handle_t *)&hang_signal, NULL);
    uv_close((uv_handle_t *)&crash_signal, NULL);
    worker_stopped(worker, left);
}

static void stop(struct worker *worker, enum worker_stop how)
{
    (void)how;
    end(worker, "");
}

static void ignore_stop(struct worker *worker, enum worker_stop how)
{
    (void)worker;
    (void)how;
    log_info("no");
}

static void stop_busy(struct worker *worker, enum worker_stop how)
{
    end(worker, how == WORKER_SHUTDOWN ? "/mnt/x is held by pid 1" : "");
}

static const struct part {
    const char *name;
    int (*start)(struct worker *worker, struct err *err);
    void (*stop)(struct worker *worker, enum worker_stop how);
    uv_signal_cb on_usr2;
} parts[] = {
    {"ready", behave, stop, on_crash},     {"exits", leave, stop, on_crash},
    {"mute", stay_mute, stop, on_crash},   {"stubborn", behave, ignore_stop, on_crash},
    {"busy", behave, stop_busy, on_crash}, {"clings", cling, stop, on_crash},
    {"frozen", behave, stop, on_write},
};

static const struct part *part;

static int start(struct worker *worker, struct err *err)
{
    (void)uv_signal_init(worker->loop, &hang_signal);
    (void)uv_signal_init(worker->loop, &crash_signal);
    (void)uv_signal_start(&hang_signal, on_hang, SIGUSR1);
    (void)uv_signal_start(&crash_signal, part->on_usr2, SIGUSR2);
    hang_signal.data = crash_signal.data = worker;
    return part->start(worker, err);
}

int main(int argc, char **argv)
{
    static const int keep[] = {CAP_CHOWN, CAP_FOWNER, -1};
    const char *slash = strrchr(argv[0], '/');
    const char *name = slash ? slash + 1 : argv[0];
    for (size_t i = 0; i < array_length(parts); i++)
        if (strcmp(parts[i].name, name) == 0)
            part = &parts[i];
    if (!part) {
        (void)fprintf(stderr, "run me under the name of a part\n");
        return EXIT_FAILURE;
    }
    const struct worker_ops ops = {
        .name = part->name, .keep_caps = keep, .start = start, .stop = part->stop};
    return worker_main(argc, argv, &ops);
}
