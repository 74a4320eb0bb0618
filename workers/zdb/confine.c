/* The calls are those of glibc 2.36 and of our own sources; a sanitizer's are added where one is
 * built in. */
#include "confine.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/ruleset.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/prctl.h>

/* --- Landlock -------------------------------------------------------------------------------- */

int confine_files(int data_root, int index_root, struct err *err)
{
    static const uint64_t rights = RULESET_ALL & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE;
#ifdef __SANITIZE_ADDRESS__ /* its search for leaks lists our threads */
    autoclose int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
#else
    const int proc = -1;
#endif
    const struct ruleset_tree trees[] = {
        {data_root, rights},
        {index_root, rights},
        {proc, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR},
    };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_errno(err, errno, "no_new_privs", "cannot be set");
    int rc = ruleset_enforce(RULESET_ALL, trees, array_length(trees) - (proc < 0));
    if (rc == -ENOSYS) {
        log_warning("the kernel has no Landlock: files are not confined");
        return 0;
    }
    return rc < 0 ? err_errno(err, -rc, "Landlock", "cannot be applied") : 0;
}

/* --- seccomp --------------------------------------------------------------------------------- */

static const int calls[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(preadv),
    SCMP_SYS(pwritev),
    SCMP_SYS(preadv2),
    SCMP_SYS(pwritev2),
    SCMP_SYS(openat),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(fstatfs),
    SCMP_SYS(lseek),
    SCMP_SYS(fallocate),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fdatasync),
    SCMP_SYS(fsync),
    SCMP_SYS(fadvise64),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(unlinkat),
    SCMP_SYS(mkdirat),
    SCMP_SYS(getdents64),
    SCMP_SYS(fcntl),
    SCMP_SYS(dup),
    SCMP_SYS(dup2),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(mprotect),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(futex),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(accept4),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(geteuid),
    SCMP_SYS(tgkill),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(rseq),
    SCMP_SYS(membarrier),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(sysinfo),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
#ifdef __SANITIZE_ADDRESS__ /* its report, and the search for leaks at the end */
    SCMP_SYS(clone),
    SCMP_SYS(ptrace),
    SCMP_SYS(prctl),
    SCMP_SYS(wait4),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(readlink),
    SCMP_SYS(open),
    SCMP_SYS(getppid),
    SCMP_SYS(kill),
    SCMP_SYS(getdents),
#endif
};

/* Our own: how many descriptors are left is asked for with each client and namespace. */
static int allow_to_read_limits(scmp_filter_ctx filter)
{
    static const struct scmp_arg_cmp own[] = {
        {.arg = 0, .op = SCMP_CMP_EQ, .datum_a = 0}, /* the process */
        {.arg = 2, .op = SCMP_CMP_EQ, .datum_a = 0}, /* the new limit */
    };
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), array_length(own),
                                  own);
}

int confine_calls(struct err *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc = filter ? seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < array_length(calls); i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    if (rc == 0)
        rc = allow_to_read_limits(filter);
    if (rc == 0)
        rc = seccomp_load(filter);
    if (filter)
        seccomp_release(filter);
    if (rc == -EINVAL || rc == -ENOSYS) {
        log_warning("the kernel has no seccomp: calls are not confined");
        return 0;
    }
    return rc < 0 ? err_errno(err, -rc, "seccomp", "cannot be applied") : 0;
}
