/* Resident memory of the workers with a pool and 1 000 spaces, against what they began with. */
#include "suites.h"

#include <stdio.h>

enum { SPACES = 1000 };

double bench_resident_mib(pid_t pid)
{
    autofree char *path = path_format("/proc/%d/status", pid);
    autofree char *status = file_read(path, NULL);
    const char *line = strstr(status, "VmRSS:");
    return line ? (double)strtoul(line + strlen("VmRSS:"), NULL, 10) / 1024 : 0;
}

void suite_memory(void)
{
    static const char *const workers[] = {"diskd", "poold"};
    struct node *node = bench_node(disk_create(8 * GiB, DISK_SSD));
    double before[array_length(workers)];
    node_start(node);
    node_wait_cache(node, true);
    for (size_t i = 0; i < array_length(workers); i++)
        before[i] = bench_resident_mib(node_worker(node, workers[i]).pid);
    (void)bench_reserve_many(node, 32, SPACES);
    for (size_t i = 0; i < array_length(workers); i++) {
        char name[48];
        (void)snprintf(name, sizeof name, "memory_%s_with_1000_spaces", workers[i]);
        report_row(name, bench_resident_mib(node_worker(node, workers[i]).pid), before[i], "MiB",
                   "");
    }
}
