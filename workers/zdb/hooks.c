/* Runs are kept in a ring of slots; one that still runs is never overwritten. */
#include "hooks.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

void hooks_init(struct hooks *hooks, const char *file, const char *identity, int epoll)
{
    *hooks = (struct hooks){.file = file, .identity = identity, .epoll = epoll};
    for (size_t i = 0; i < HOOKS_KEPT; i++)
        hooks->runs[i].pidfd = -1;
}

static void forget(struct hook_run *run)
{
    for (char **arg = run->args; *arg; arg++)
        free(*arg);
    *run = (struct hook_run){.pidfd = -1};
}

void hooks_free(struct hooks *hooks)
{
    for (size_t i = 0; i < HOOKS_KEPT; i++) {
        if (hooks->runs[i].pidfd >= 0)
            (void)close(hooks->runs[i].pidfd);
        forget(&hooks->runs[i]);
    }
}

/* The slot that is free, or whose run ended first. */
static struct hook_run *find_slot(struct hooks *hooks)
{
    struct hook_run *oldest = NULL;
    for (size_t i = 0; i < HOOKS_KEPT; i++) {
        struct hook_run *run = &hooks->runs[i];
        if (!run->args[0])
            return run;
        if (run->pidfd < 0 && (!oldest || run->finished < oldest->finished))
            oldest = run;
    }
    if (oldest)
        forget(oldest);
    return oldest;
}

static int spawn(struct hook_run *run)
{
    posix_spawnattr_t attributes;
    sigset_t none;
    (void)sigemptyset(&none);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    int rc = posix_spawn(&run->pid, run->args[0], NULL, &attributes, run->args, environ);
    (void)posix_spawnattr_destroy(&attributes);
    return -rc;
}

static struct hook_run *start(struct hooks *hooks, const char *event, const char *const *args)
{
    struct hook_run *run = find_slot(hooks);
    if (!run) {
        log_warning("too many hooks run; one is left out", "event", event);
        return NULL;
    }
    const char *front[] = {hooks->file, event, hooks->identity};
    size_t n = 0;
    for (; n < 3; n++)
        run->args[n] = strdup(front[n]);
    for (; args && args[n - 3] && n < HOOKS_ARGS_MAX + 2; n++)
        run->args[n] = strdup(args[n - 3]);
    bool whole = true;
    for (size_t i = 0; i < n; i++)
        whole = whole && run->args[i];
    int rc = whole ? spawn(run) : -ENOMEM;
    if (rc == 0)
        run->pidfd = (int)syscall(SYS_pidfd_open, run->pid, 0);
    if (rc < 0) {
        log_warning("hook cannot be run", "file", hooks->file, "event", event, "why",
                    strerror(-rc));
        for (size_t i = 0; i < n; i++)
            free(run->args[i]);
        *run = (struct hook_run){.pidfd = -1};
        return NULL;
    }
    run->started = (uint64_t)time(NULL);
    return run;
}

static void finish(struct hook_run *run)
{
    int status = 0;
    while (waitpid(run->pid, &status, 0) < 0 && errno == EINTR)
        ;
    run->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    run->finished = (uint64_t)time(NULL);
    (void)close(run->pidfd);
    run->pidfd = -1;
}

void hooks_tell(struct hooks *hooks, const char *event, const char *const *args)
{
    struct hook_run *run = hooks->file ? start(hooks, event, args) : NULL;
    if (!run)
        return;
    struct epoll_event ready = {.events = EPOLLIN, .data.ptr = run};
    if (run->pidfd < 0 || epoll_ctl(hooks->epoll, EPOLL_CTL_ADD, run->pidfd, &ready) < 0)
        finish(run);
}

int hooks_ask(struct hooks *hooks, const char *event, const char *const *args)
{
    if (!hooks->file)
        return 0;
    struct hook_run *run = start(hooks, event, args);
    if (!run)
        return -1;
    uint64_t deadline = clock_monotonic_ms() + HOOKS_DEADLINE_MS;
    struct pollfd ended = {.fd = run->pidfd, .events = POLLIN};
    int n;
    do {
        uint64_t now = clock_monotonic_ms();
        n = poll(&ended, 1, now < deadline ? (int)(deadline - now) : 0);
    } while (n < 0 && errno == EINTR);
    if (n != 1) {
        log_error("hook takes too long and is ended", "file", hooks->file, "event", event);
        (void)kill(run->pid, SIGKILL);
    }
    finish(run);
    return n == 1 ? run->status : -1;
}

bool hooks_event(struct hooks *hooks, const void *run)
{
    for (size_t i = 0; i < HOOKS_KEPT; i++)
        if (&hooks->runs[i] == run) {
            if (hooks->runs[i].pidfd >= 0)
                finish(&hooks->runs[i]);
            return true;
        }
    return false;
}

static bool is_listed(const struct hook_run *run)
{
    return run->args[0] && (run->pidfd >= 0 || run->finished + HOOKS_KEPT_S > (uint64_t)time(NULL));
}

void hooks_list(const struct hooks *hooks, struct out *out)
{
    size_t n = 0;
    for (size_t i = 0; i < HOOKS_KEPT; i++)
        n += is_listed(&hooks->runs[i]);
    out_array(out, n);
    for (size_t i = 0; i < HOOKS_KEPT; i++) {
        const struct hook_run *run = &hooks->runs[i];
        if (!is_listed(run))
            continue;
        size_t n_args = 0;
        while (run->args[3 + n_args])
            n_args++;
        out_array(out, 6);
        out_text(out, run->args[1]);
        out_array(out, n_args);
        for (size_t arg = 0; arg < n_args; arg++)
            out_text(out, run->args[3 + arg]);
        out_integer(out, run->pid);
        out_integer(out, (int64_t)run->started);
        out_integer(out, (int64_t)run->finished);
        out_integer(out, run->status);
    }
}
