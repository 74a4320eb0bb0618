/*
 * Files and commands. A command's output goes to memory files, so that nobody has to drain a pipe
 * while it runs. One that runs as another user is opened before the user is changed: the build tree
 * may lie where that user cannot walk.
 */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

static char **kept; /* outputs, until the end of the test */
static size_t n_kept;

/* --- files ----------------------------------------------------------------------------------- */

char *path_format(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = NULL;
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n < 0)
        harness_fatal("memory");
    return text;
}

void file_write(const char *path, const void *data, size_t size)
{
    autoclose int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0)
        harness_fatal("%s", path);
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, (const char *)data + done, size - done);
        if (n < 0)
            harness_fatal("%s", path);
        done += (size_t)n;
    }
}

/* NULL when it cannot be read. */
static char *fd_read_all(int fd, size_t *out_size)
{
    size_t size = 0, room = 4096;
    char *data = malloc(room);
    for (;;) {
        if (!data)
            harness_fatal("memory");
        ssize_t n = read(fd, data + size, room - 1 - size);
        if (n < 0) {
            free(data);
            return NULL;
        }
        if (n == 0)
            break;
        size += (size_t)n;
        if (size == room - 1)
            data = realloc(data, room *= 2);
    }
    data[size] = '\0';
    if (out_size)
        *out_size = size;
    return data;
}

char *file_try_read(const char *path, size_t *out_size)
{
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? NULL : fd_read_all(fd, out_size);
}

char *file_read(const char *path, size_t *out_size)
{
    char *data = file_try_read(path, out_size);
    if (!data)
        harness_fatal("%s", path);
    return data;
}

/* --- processes ------------------------------------------------------------------------------- */

int ms_until(uint64_t deadline_ms)
{
    uint64_t now = clock_monotonic_ms();
    return now >= deadline_ms ? 0 : (int)(deadline_ms - now);
}

int process_open(pid_t pid)
{
    int fd = pidfd_open(pid, 0);
    if (fd < 0 && errno != ESRCH)
        harness_fatal("pidfd of %d", pid);
    return fd;
}

bool process_ended(int pidfd, uint64_t deadline_ms)
{
    struct pollfd wait = {.fd = pidfd, .events = POLLIN};
    int rc;
    while ((rc = poll(&wait, 1, ms_until(deadline_ms))) < 0 && errno == EINTR)
        ;
    return rc > 0;
}

void process_wait_gone(pid_t pid)
{
    autoclose int fd = process_open(pid);
    if (fd >= 0 && !process_ended(fd, clock_monotonic_ms() + HARNESS_WAIT_MS))
        fail_msg("process %d does not end", pid);
}

int child_wait(pid_t pid)
{
    autoclose int fd = process_open(pid);
    bool ended = fd >= 0 && process_ended(fd, clock_monotonic_ms() + HARNESS_WAIT_MS);
    if (!ended)
        (void)kill(pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            fail_msg("process %d is not ours to wait for", pid);
    if (!ended)
        fail_msg("process %d did not end, and was killed", pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* --- commands -------------------------------------------------------------------------------- */

/* The path of a program; freed by the caller. */
static char *program_find(const char *name)
{
    if (strchr(name, '/'))
        return path_format("%s", name);
    autofree char *folders = path_format("%s:%s:/usr/sbin:/sbin", STORAGED_BIN_DIR, getenv("PATH"));
    char *rest = folders;
    for (const char *folder; (folder = strsep(&rest, ":"));) {
        autofree char *path = path_format("%s/%s", folder, name);
        if (access(path, X_OK) == 0)
            return take_ptr(path);
    }
    fail_msg("no program %s", name);
    return NULL;
}

_Noreturn static void command_exec(const struct command *command, const char *path, int out_fd,
                                   int err_fd)
{
    char *const *argv = (char *const *)(uintptr_t)command->argv;
    int program = open(path, O_PATH | O_CLOEXEC);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDONLY);
    if (dup2(null, STDIN_FILENO) < 0 || dup2(out_fd, STDOUT_FILENO) < 0 ||
        dup2(err_fd, STDERR_FILENO) < 0)
        _exit(126);
    if (command->run_dir)
        (void)setenv("STORAGED_RUN_DIR", command->run_dir, 1);
    if (command->uid != 0 || command->gid != 0) {
        if (setgroups(0, NULL) != 0 || setresgid(command->gid, command->gid, command->gid) != 0 ||
            setresuid(command->uid, command->uid, command->uid) != 0)
            _exit(126);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* the change of user has cleared it */
        (void)fexecve(program, argv, environ);
    }
    (void)execve(path, argv, environ);
    _exit(127);
}

pid_t command_spawn(const struct command *command, int out_fd, int err_fd)
{
    autofree char *path = program_find(command->argv[0]);
    pid_t pid = fork();
    if (pid < 0)
        harness_fatal("fork");
    if (pid == 0)
        command_exec(command, path, out_fd, err_fd);
    return pid;
}

static char *keep_output(int fd)
{
    kept = reallocarray(kept, n_kept + 1, sizeof *kept);
    if (!kept)
        harness_fatal("memory");
    (void)lseek(fd, 0, SEEK_SET);
    return kept[n_kept++] = fd_read_all(fd, NULL);
}

struct command_result command_run(const struct command *command)
{
    autoclose int out = memfd_create("stdout", MFD_CLOEXEC);
    autoclose int err = memfd_create("stderr", MFD_CLOEXEC);
    if (out < 0 || err < 0)
        harness_fatal("memfd");
    struct command_result result = {.status = child_wait(command_spawn(command, out, err))};
    result.out = keep_output(out);
    result.err = keep_output(err);
    return result;
}

void command_must_pass(const char *const *argv)
{
    struct command command = {0};
    for (size_t i = 0; i < COMMAND_ARGS_MAX && argv[i]; i++)
        command.argv[i] = argv[i];
    struct command_result result = command_run(&command);
    if (result.status != 0)
        fail_msg("%s ended with %d: %s%s", argv[0], result.status, result.out, result.err);
}

void command_results_free(void)
{
    while (n_kept > 0)
        free(kept[--n_kept]);
    free(take_ptr(kept));
}

bool json_holds(const char *json, const char *filter)
{
    autofree char *path = path_format("%s/answer.json", harness_dir());
    file_write(path, json, strlen(json));
    struct command jq = {.argv = {"jq", "-e", filter, path}};
    struct command_result result = command_run(&jq);
    if (result.status != 0)
        print_error("jq '%s': %s\n%s\n", filter, result.err, json);
    return result.status == 0;
}
