/* Life and death, see the header. State: the process's signal dispositions, nothing else. */
#include "worker/life.h"

#include "base/cleanup.h"
#include "base/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

int life_check_channel(int fd, struct err *err)
{
    int type = 0;
    socklen_t length = sizeof type;
    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 ||
        type != SOCK_SEQPACKET) {
        err_set(err, ERR_FAILED_PRECONDITION, 0, "channel",
                "a worker does not run by itself: storaged starts it, with a channel as "
                "--channel-fd");
        err_hint(err, "run storaged");
        return -ERR_FAILED_PRECONDITION;
    }
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return err_errno(err, errno, "channel", "cannot set close-on-exec");
    return 0;
}

static void die_with_empty_hands(int signal_number)
{
    keep_close_others(STDERR_FILENO + 1);
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

void life_set_signals(void)
{
    static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};
    struct sigaction action = {.sa_handler = SIG_IGN};
    for (size_t i = 0; i < array_length(ignored); i++)
        (void)sigaction(ignored[i], &action, NULL);
    action.sa_handler = die_with_empty_hands;
    action.sa_flags = SA_NODEFER;
    (void)sigaction(SIGABRT, &action, NULL);
}

int life_tie_to_parent(int channel_fd, struct err *err)
{
    struct ucred supervisor;
    socklen_t length = sizeof supervisor;
    if (getsockopt(channel_fd, SOL_SOCKET, SO_PEERCRED, &supervisor, &length) < 0)
        return err_errno(err, errno, "channel", "cannot read who made it");
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return err_errno(err, errno, "PDEATHSIG", "cannot tie the worker to its parent");
    /* It may have died before the prctl. */
    if (getppid() != supervisor.pid)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, "channel",
                       "the supervisor (pid %ld) that made the channel is not the parent (pid %ld)",
                       (long)supervisor.pid, (long)getppid());
    return 0;
}
