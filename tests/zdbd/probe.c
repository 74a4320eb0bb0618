/* Stands where the 0-db is executed and says what it finds itself to be, in the log; then it stops,
 * for whoever wants to look at it from outside. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char *result_of(int rc)
{
    return rc < 0 ? strerrorname_np(errno) : "done";
}

int main(int argc, char **argv)
{
    int death = -1, next = dup(0);
    printf("first descriptor that is free: %d\n", next);
    (void)prctl(PR_GET_PDEATHSIG, &death);
    printf("death signal: %d\n", death);
    printf("write in home: %s\n", result_of(openat(0, "probe", O_WRONLY | O_CREAT, 0600)));
    printf("write in run directory: %s\n", result_of(open("probe", O_WRONLY | O_CREAT, 0600)));
    printf("write elsewhere: %s\n", result_of(open("/dev/null", O_WRONLY)));
    printf("read elsewhere: %s\n", result_of(open("/dev/null", O_RDONLY)));
    printf("read data: %s\n", result_of(open("/proc/self/fd/0/data", O_RDONLY | O_DIRECTORY)));
    printf("become root: %s\n", result_of(setuid(0)));
    void *much = mmap(NULL, 1 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("take a gigabyte: %s\n", result_of(much == MAP_FAILED ? -1 : munmap(much, 1 << 30)));
    printf("arguments:");
    for (int i = 0; i < argc; i++)
        printf(" %s", argv[i]);
    printf(" .\n");
    (void)fflush(stdout);
    (void)close_range(STDERR_FILENO + 1, ~0u, 0);
    return raise(SIGSTOP);
}
