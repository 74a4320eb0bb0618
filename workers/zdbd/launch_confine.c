/*
 * What the 0-db is left with: a session, a few descriptors, limits, and no privilege at all.
 * Capabilities go last, since each stage before needs some; the bounding set before the uid, since
 * only CAP_SETPCAP lowers it. What the kernel does not have is told in the record, and is no error.
 */
#include "launch_private.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/ruleset.h"
#include "base/step.h"
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* ---- the beginning --------------------------------------------------------------------------- */

/* Signals that zdbd ignores or blocks would stay so over the exec. */
static void reset_signals(void)
{
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A file that takes the number of one that is closed would be taken for it. */
static int take_descriptors(struct launch *launch, struct err *err)
{
    for (int fd = 0; fd <= LAUNCH_REPORT_FD; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            return err_errno(err, errno, "zdblaunch", "has no descriptor %d", fd);
    (void)close_range(LAUNCH_REPORT_FD + 1, ~0u, 0);
    if (fcntl(LAUNCH_REPORT_FD, F_SETFD, FD_CLOEXEC) < 0)
        return err_errno(err, errno, "zdblaunch", "cannot have its report closed on exec");
    launch->gates_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, LAUNCH_REPORT_FD + 1);
    return launch->gates_fd < 0 ? err_errno(err, errno, "zdblaunch", "cannot keep its input") : 0;
}

int launch_begin(struct launch *launch, struct err *err)
{
    int rc = take_descriptors(launch, err);
    if (rc < 0)
        return rc;
    reset_signals();
    (void)umask(077);
    (void)setsid();
    if (getsid(0) != getpid())
        return err_errno(err, errno, launch->record.pool, "cannot begin a session");
    if (prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) < 0 || setgroups(0, NULL) < 0)
        return err_errno(err, errno, launch->record.pool, "cannot leave what started it");
    return 0;
}

/* ---- as another ------------------------------------------------------------------------------ */

int launch_be_owner(const struct launch *launch, struct err *err)
{
    if (setegid(launch->gid) < 0 || seteuid(launch->record.uid) < 0)
        return err_errno(err, errno, launch->record.pool, "cannot act as uid %u",
                         launch->record.uid);
    return 0;
}

int launch_be_root(struct err *err)
{
    if (seteuid(0) < 0 || setegid(0) < 0)
        return err_errno(err, errno, "zdblaunch", "cannot act as root again");
    return 0;
}

/* ---- limits ---------------------------------------------------------------------------------- */

/* Of address space that may be written to, files aside. The sanitizer's shadow of the address space
 * counts too. */
#ifdef __SANITIZE_ADDRESS__
#define MEMORY_BESIDE (UINT64_C(1) << 46)
#else
#define MEMORY_BESIDE UINT64_C(0)
#endif

static int set_limits(const struct launch *launch, struct err *err)
{
    const struct {
        const char *name;
        __rlimit_resource_t resource;
        rlim_t value;
    } limits[] = {
        {"RLIMIT_NOFILE", RLIMIT_NOFILE, launch->files},
        {"RLIMIT_DATA", RLIMIT_DATA, launch->memory_bytes + MEMORY_BESIDE},
        {"RLIMIT_CORE", RLIMIT_CORE, 0}, /* passwords and everybody's data */
    };
    for (size_t i = 0; i < array_length(limits); i++) {
        struct rlimit limit = {limits[i].value, limits[i].value};
        int rc = setrlimit(limits[i].resource, &limit);
        if (rc < 0 && errno == EPERM && getrlimit(limits[i].resource, &limit) == 0) {
            log_warning("a limit stays below what is configured", "limit", limits[i].name, "value",
                        log_u64(limit.rlim_max));
            limit.rlim_cur = limit.rlim_max;
            rc = setrlimit(limits[i].resource, &limit);
        }
        if (rc < 0)
            return err_errno(err, errno, limits[i].name, "cannot be set to %ju",
                             (uintmax_t)limits[i].value);
    }
    return 0;
}

/* ---- Landlock -------------------------------------------------------------------------------- */

static int confine_writing(const struct launch *launch, bool *out_there, struct err *err)
{
    const struct ruleset_tree trees[] = {{LAUNCH_HOME_FD, RULESET_CHANGES},
                                         {launch->run_fd, RULESET_CHANGES}};
    int rc = ruleset_enforce(RULESET_CHANGES, trees, array_length(trees));
    *out_there = rc != -ENOSYS;
    return rc < 0 && *out_there ? err_errno(err, -rc, "Landlock", "cannot be applied") : 0;
}

int launch_confine(struct launch *launch, struct err *err)
{
    bool landlock = false;
    autoclose int group = cgroup_open_own();
    bool weighted = group >= 0 && cgroup_enter(group, launch->record.pool, launch->memory_bytes);
    int rc = set_limits(launch, err);
    if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        rc = err_errno(err, errno, "no_new_privs", "cannot be set");
    if (rc == 0)
        rc = confine_writing(launch, &landlock, err);
    (void)snprintf(launch->record.missing, sizeof launch->record.missing, "%s%s%s",
                   landlock ? "" : "landlock", landlock || weighted ? "" : " ",
                   weighted ? "" : "io.weight");
    return rc;
}

/* ---- user and capabilities ------------------------------------------------------------------- */

static int drop_bounding(void)
{
    for (cap_value_t cap = 0; cap < cap_max_bits(); cap++)
        if (cap_get_bound(cap) == 1 && cap_drop_bound(cap) < 0)
            return -errno;
    return 0;
}

static int drop_capabilities(void)
{
    cap_t none = cap_init();
    int rc = none && cap_set_proc(none) == 0 ? 0 : -errno;
    if (none)
        (void)cap_free(none);
    return rc;
}

int launch_drop(struct launch *launch, struct err *err)
{
    uid_t uid = launch->record.uid;
    gid_t gid = launch->gid;
    int rc = drop_bounding();
    if (rc == 0 && (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0))
        rc = -errno;
    if (rc == 0)
        rc = drop_capabilities();
    step();
    return rc < 0 ? err_errno(err, -rc, launch->record.pool, "cannot become uid %u", uid) : 0;
}
