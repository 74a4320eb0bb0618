/*
 * Confinement, see the header. Order matters: the bounding set can only be lowered with CAP_SETPCAP
 * in hand, so it goes first. Fails closed: any error ends the worker before it does its work.
 */
#include "worker/confine.h"

#include "base/log.h"
#include "worker/syscalls.h"

#include <errno.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static bool is_kept(const int *keep, cap_value_t cap)
{
    for (; *keep >= 0; keep++)
        if (*keep == cap)
            return true;
    return false;
}

static int drop_bounding(const int *keep, struct err *err)
{
    for (cap_value_t cap = 0; cap < cap_max_bits(); cap++) {
        if (is_kept(keep, cap) || cap_get_bound(cap) != 1)
            continue;
        if (cap_drop_bound(cap) < 0)
            return err_errno(err, errno, "capabilities", "cannot drop capability %d for good", cap);
    }
    return 0;
}

/* Adds `cap` to the sets if the process may have it at all. */
static int keep_one(cap_t wanted, cap_t held, cap_value_t cap)
{
    cap_flag_value_t has = CAP_CLEAR;
    if (cap_get_flag(held, cap, CAP_PERMITTED, &has) < 0)
        return -1;
    if (has != CAP_SET) {
        log_warning("capability is missing", "capability", log_i64(cap));
        return 0;
    }
    if (cap_set_flag(wanted, CAP_PERMITTED, 1, &cap, CAP_SET) < 0)
        return -1;
    return cap_set_flag(wanted, CAP_EFFECTIVE, 1, &cap, CAP_SET);
}

static int set_capabilities(const int *keep, struct err *err)
{
    cap_t held = cap_get_proc(), wanted = cap_init();
    int rc = -1;
    if (!held || !wanted)
        goto out;
    for (; *keep >= 0; keep++)
        if (keep_one(wanted, held, *keep) < 0)
            goto out;
    if (cap_reset_ambient() < 0 && errno != EINVAL)
        goto out;
    rc = cap_set_proc(wanted);
out:
    if (rc < 0)
        rc = err_errno(err, errno, "capabilities", "cannot drop capabilities");
    if (held)
        (void)cap_free(held);
    if (wanted)
        (void)cap_free(wanted);
    return rc;
}

static int set_file_limit(struct err *err)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return err_errno(err, errno, "RLIMIT_NOFILE", "cannot read the limit");
    limit.rlim_cur = limit.rlim_max < CONFINE_FILES_MAX ? limit.rlim_max : CONFINE_FILES_MAX;
    limit.rlim_max = limit.rlim_cur;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return err_errno(err, errno, "RLIMIT_NOFILE", "cannot set the limit");
    return 0;
}

int confine_apply(const int *keep, bool mounts, struct err *err)
{
    (void)umask(022);
    int rc = set_file_limit(err);
    if (rc == 0)
        rc = drop_bounding(keep, err);
    if (rc == 0)
        rc = set_capabilities(keep, err);
    if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        rc = err_errno(err, errno, "no_new_privs", "cannot give up new privileges");
    return rc < 0 ? rc : syscalls_deny(mounts, err);
}
