/*
 * See the header. The neighbour is this same program, started again with --neighbour; it appends
 * its samples to a memory file, so that nobody has to read along.
 */
#include "gauge.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum {
    PACE_MS = 1,
    SAMPLES_MAX = 1 << 20,
    LOOK_MS = 5,
    BYSTANDERS = 4, /* connections that come and go besides */
    MEDIAN_MAX_US = 10000,
    LONGEST_MAX_US = 2000000,
    NOISE_FACTOR = 4, /* times what the others took, on top */
};

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZER_SLOWNESS = 4, SANITIZER_SLACK_MIB = 8 };
#else
enum { SANITIZER_SLOWNESS = 1, SANITIZER_SLACK_MIB = 0 };
#endif

const char *const gauge_names[GAUGE_PROCESSES] = {
    [GAUGE_DISKD] = "diskd", [GAUGE_POOLD] = "poold", [GAUGE_STORAGED] = "storaged"};

/* --- the neighbour --------------------------------------------------------------------------- */

struct sample {
    uint32_t us[GAUGE_PROCESSES];
    uint32_t failed; /* a bit for each */
};

struct neighbour {
    pid_t pid;
    int samples;
    size_t mark;
};

static int ask(struct storage *storage, enum gauge_process whom, char **argv)
{
    autoerr struct err err = {0};
    autoreply void *reply = NULL;
    int rc;
    if (whom == GAUGE_DISKD)
        rc = call_disk(storage, argv[3], (Storage__V1__Disk **)&reply, &err);
    else if (whom == GAUGE_POOLD)
        rc = call_get(storage, argv[4], (Storage__V1__Space **)&reply, &err);
    else
        rc = call_workers(storage, (Storage__V1__ControlReply **)&reply, &err);
    if (rc != 0)
        (void)fprintf(stderr, "neighbour: %s: %s\n", gauge_names[whom], err.message);
    return rc;
}

static int neighbour_main(char **argv)
{
    const struct storage_options options = {.run_dir = argv[2], .timeout_ms = HARNESS_WAIT_MS};
    struct storage *storage = NULL;
    if (storage_open(&options, &storage, NULL) != 0)
        return EXIT_FAILURE;
    for (;;) {
        struct sample sample = {0};
        for (unsigned whom = 0; whom < GAUGE_PROCESSES; whom++) {
            uint64_t begun_ns = clock_read_ns(CLOCK_MONOTONIC);
            sample.failed |= (unsigned)(ask(storage, whom, argv) != 0) << whom;
            sample.us[whom] = (uint32_t)((clock_read_ns(CLOCK_MONOTONIC) - begun_ns) / 1000);
        }
        if (write(STDOUT_FILENO, &sample, sizeof sample) != sizeof sample)
            return EXIT_FAILURE;
        (void)poll(NULL, 0, PACE_MS); /* leaves the processor to those who are measured */
    }
}

int gauge_main(int argc, char **argv)
{
    const char *set = getenv("ASAN_OPTIONS");
    autofree char *options =
        path_format("%s%squarantine_size_mb=1:thread_local_quarantine_size_kb=64:"
                    "allocator_release_to_os_interval_ms=500",
                    set ? set : "", set ? ":" : "");
    (void)setenv("ASAN_OPTIONS", options, 1);
    (void)setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.trim_threshold=65536",
                 1);
    return argc == 5 && strcmp(argv[1], "--neighbour") == 0 ? neighbour_main(argv) : -1;
}

struct neighbour *neighbour_start(const struct node *node, const char *disk, const char *space)
{
    struct neighbour *neighbour = calloc(1, sizeof *neighbour);
    assert_non_null(neighbour);
    neighbour->samples = memfd_create("samples", MFD_CLOEXEC);
    assert_true(neighbour->samples >= 0);
    struct command command = {
        .argv = {"/proc/self/exe", "--neighbour", node->run_dir, disk, space}};
    neighbour->pid = command_spawn(&command, neighbour->samples, STDERR_FILENO);
    return neighbour;
}

void neighbour_stop(struct neighbour *neighbour)
{
    (void)kill(neighbour->pid, SIGKILL);
    (void)child_wait(neighbour->pid);
    (void)close(neighbour->samples);
    free(neighbour);
}

static size_t count_samples(const struct neighbour *neighbour)
{
    struct stat st;
    assert_int_equal(fstat(neighbour->samples, &st), 0);
    return (size_t)st.st_size / sizeof(struct sample);
}

void neighbour_mark(struct neighbour *neighbour)
{
    neighbour->mark = count_samples(neighbour) + 1; /* the one that is being taken does not count */
}

unsigned neighbour_rounds(struct neighbour *neighbour)
{
    size_t n = count_samples(neighbour);
    return n > neighbour->mark ? (unsigned)(n - neighbour->mark) : 0;
}

static int by_size(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

struct latency {
    uint32_t median_us, longest_us;
};

static struct latency latency_of(const struct neighbour *neighbour, unsigned n,
                                 enum gauge_process whom)
{
    autofree struct sample *samples = calloc(n, sizeof *samples);
    autofree uint32_t *us = calloc(n, sizeof *us);
    assert_true(samples && us);
    ssize_t size = (ssize_t)(n * sizeof *samples);
    off_t offset = (off_t)(neighbour->mark * sizeof *samples);
    assert_int_equal(pread(neighbour->samples, samples, (size_t)size, offset), size);
    for (unsigned i = 0; i < n; i++) {
        if (samples[i].failed & 1U << whom)
            fail_msg("the neighbour's call at %s failed", gauge_names[whom]);
        us[i] = samples[i].us[whom];
    }
    qsort(us, n, sizeof *us, by_size);
    return (struct latency){.median_us = us[n / 2], .longest_us = us[n - 1]};
}

bool neighbour_is_well(struct neighbour *neighbour, const char *meanwhile)
{
    struct latency latency[GAUGE_PROCESSES];
    unsigned n = neighbour_rounds(neighbour);
    bool well = true;
    assert_in_range(n, 1, SAMPLES_MAX);
    for (unsigned whom = 0; whom < GAUGE_PROCESSES; whom++)
        latency[whom] = latency_of(neighbour, n, whom);
    for (unsigned whom = 0; whom < GAUGE_PROCESSES; whom++) {
        uint32_t noise_us = UINT32_MAX;
        for (unsigned other = 0; other < GAUGE_PROCESSES; other++)
            if (other != whom && latency[other].median_us < noise_us)
                noise_us = latency[other].median_us;
        if (latency[whom].median_us <=
                SANITIZER_SLOWNESS * MEDIAN_MAX_US + NOISE_FACTOR * noise_us &&
            latency[whom].longest_us <= LONGEST_MAX_US)
            continue;
        print_message("during %s, %s answers in %u us, at worst %u us; another one in %u us\n",
                      meanwhile, gauge_names[whom], latency[whom].median_us,
                      latency[whom].longest_us, noise_us);
        well = false;
    }
    return well;
}

/* --- memory and descriptors ------------------------------------------------------------------ */

static uint64_t resident_bytes(pid_t pid)
{
    autofree char *path = path_format("/proc/%d/status", pid);
    autofree char *status = file_read(path, NULL);
    const char *line = strstr(status, "VmRSS:");
    assert_non_null(line);
    return strtoull(line + strlen("VmRSS:"), NULL, 10) * 1024;
}

static unsigned count_descriptors(pid_t pid)
{
    autofree char *path = path_format("/proc/%d/fd", pid);
    autodir DIR *folder = opendir(path);
    assert_non_null(folder);
    unsigned n = 0;
    for (struct dirent *entry; (entry = readdir(folder));)
        n += entry->d_name[0] != '.';
    return n;
}

struct gauge gauge_read(struct node *node)
{
    struct gauge gauge = {.pid = {[GAUGE_DISKD] = node_worker(node, "diskd").pid,
                                  [GAUGE_POOLD] = node_worker(node, "poold").pid,
                                  [GAUGE_STORAGED] = node->pid}};
    for (unsigned i = 0; i < GAUGE_PROCESSES; i++) {
        gauge.resident_bytes[i] = resident_bytes(gauge.pid[i]);
        gauge.descriptors[i] = count_descriptors(gauge.pid[i]);
    }
    return gauge;
}

/* An arena is 64 MiB at such an address, of which what is not used yet is not accessible
 * (HEAP_MAX_SIZE of malloc/arena.c in glibc 2.36). */
unsigned gauge_count_arenas(pid_t pid)
{
    const uint64_t size = 64 * MiB;
    uint64_t begun = 0, from, to;
    unsigned n = 0;
    char access[5], *rest = NULL;
    autofree char *path = path_format("/proc/%d/maps", (int)pid);
    autofree char *text = file_read(path, NULL);
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &from, &to, access) != 3)
            continue;
        n += strcmp(access, "---p") == 0 && begun != 0 && to - begun == size;
        begun = strcmp(access, "rw-p") == 0 && from % size == 0 ? from : 0;
    }
    return n;
}

void gauge_wait_descriptors(struct node *node, const struct gauge *before)
{
    uint64_t deadline = clock_monotonic_ms() + HARNESS_WAIT_MS;
    for (;;) {
        struct gauge now = gauge_read(node);
        unsigned more = 0;
        for (unsigned i = 0; i < GAUGE_PROCESSES; i++)
            more += now.descriptors[i] > before->descriptors[i] + BYSTANDERS;
        if (more == 0)
            return;
        if (clock_monotonic_ms() >= deadline)
            fail_msg("descriptors stay open: diskd %u, poold %u, storaged %u; before %u, %u, %u",
                     now.descriptors[0], now.descriptors[1], now.descriptors[2],
                     before->descriptors[0], before->descriptors[1], before->descriptors[2]);
        (void)poll(NULL, 0, LOOK_MS); /* nothing tells when another process closes one */
    }
}

bool gauge_is_flat(const struct gauge *before, const struct gauge *after, uint64_t slack_bytes)
{
    bool flat = true;
    slack_bytes += SANITIZER_SLACK_MIB * MiB;
    for (unsigned i = 0; i < GAUGE_PROCESSES; i++) {
        print_message("memory of %s: %.2f MiB, then %.2f MiB\n", gauge_names[i],
                      (double)before->resident_bytes[i] / (double)MiB,
                      (double)after->resident_bytes[i] / (double)MiB);
        assert_int_equal(after->pid[i], before->pid[i]);
        flat = flat && after->resident_bytes[i] <= before->resident_bytes[i] + slack_bytes;
    }
    return flat;
}

void gauge_expect_flat(const struct gauge *before, const struct gauge *after, uint64_t slack_bytes)
{
    if (!gauge_is_flat(before, after, slack_bytes))
        fail_msg("a process has grown by more than %llu bytes", (unsigned long long)slack_bytes);
}
