/* Denied system calls, see the header. Nothing is kept: the kernel has the filter. */
#include "worker/syscalls.h"

#include "base/cleanup.h"

#include <errno.h>
#include <seccomp.h>

/* LeakSanitizer stops its process by ptrace(2). */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PTRACE
#else
#define PTRACE "ptrace",
#endif

/* A call that this kernel's or libseccomp's tables do not have is passed over. */
static const char *const always[] = {
    /* into other processes: CAP_SYS_PTRACE is for reading /proc */
    PTRACE "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp",
    /* into the kernel */
    "bpf", "perf_event_open", "userfaultfd", "init_module", "finit_module", "delete_module",
    "kexec_load", "kexec_file_load", "io_uring_setup", "io_uring_enter", "io_uring_register",
    /* the rest of what CAP_SYS_ADMIN opens */
    "setns", "unshare", "pivot_root", "chroot", "swapon", "swapoff", "quotactl", "quotactl_fd",
    "sethostname", "setdomainname", "syslog", "fanotify_init", "lookup_dcookie", "reboot", "acct",
    "add_key", "request_key", "keyctl"};

static const char *const mounting[] = {"mount",  "umount2", "move_mount", "open_tree",    "fsopen",
                                       "fspick", "fsmount", "fsconfig",   "mount_setattr"};

static int deny(scmp_filter_ctx filter, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        int rc = number == __NR_SCMP_ERROR
                     ? 0
                     : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int syscalls_deny(bool mounts, struct err *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int rc = filter ? 0 : -ENOMEM;
    if (rc == 0)
        rc = deny(filter, always, array_length(always));
    if (rc == 0 && !mounts)
        rc = deny(filter, mounting, array_length(mounting));
    if (rc == 0)
        rc = seccomp_load(filter);
    if (filter)
        seccomp_release(filter);
    return rc < 0 ? err_errno(err, -rc, "seccomp", "cannot give up system calls") : 0;
}
