/* What is measured: each suite makes its node, and one row for each name that report_wants(). */
#ifndef BENCH_SUITES_H
#define BENCH_SUITES_H

#include "harness.h"
#include "report.h"

void suite_reserve(void); /* reserve_* */
void suite_writer(void);  /* reserve_beside_writer */
void suite_reads(void);   /* read_*, list_* */
void suite_restart(void); /* restart_* */
void suite_events(void);  /* event_* */
void suite_boot(void);    /* boot_* */
void suite_memory(void);  /* memory_* */
void suite_flood(void);   /* answer_beside_flood_* */

void suite_zdbd_reserve(void); /* zdbd_reserve_* */
void suite_zdbd_restart(void); /* zdbd_restart_* */
void suite_zdbd_list(void);    /* zdbd_list_* */
void suite_zdbd_memory(void);  /* zdbd_memory_* */

void suite_zdb_rates(void);      /* zdb_set_*, zdb_get_* */
void suite_zdb_sync(void);       /* zdb_sync_* */
void suite_zdb_million(void);    /* zdb_memory_*, zdb_scan_*, zdb_restart_1* */
void suite_zdb_deletes(void);    /* zdb_restart_with_deletes_* */
void suite_zdb_sequential(void); /* zdb_sequential_* */
void suite_zdb_compaction(void); /* zdb_get_p99_* */

/* The program as the floor of a read call: an nng server that sends back what it gets. */
int echo_main(const char *url);
/* The same beside a flood, and the program that floods a socket in one of the ways of flood.c. */
int flood_echo_main(const char *url);
int flood_main(const char *name, const char *path);

/* Milliseconds since a clock_read_ns(CLOCK_MONOTONIC). */
static inline double bench_ms_since(uint64_t start_ns)
{
    return (double)(clock_read_ns(CLOCK_MONOTONIC) - start_ns) / 1e6;
}

/* A node that makes small spaces cheap to book: exact limits, a small cache. Not started. */
struct node *bench_node(struct disk *disk);

/* Of the disks (NULL-terminated), one is a pool from the node's start on; the others become pools.
 */
enum { BENCH_DISKS_MAX = 64 };
void bench_make_pools(struct node *node, struct disk *const *disks);
/* A node with that many pools, started, each with a 0-db that is up. */
struct node *bench_zdb_node(unsigned n_pools);

double bench_resident_mib(pid_t pid);

/* Durable reserves of 1 MiB by that many clients at once, `count` in all; how many a second. */
double bench_reserve_many(struct node *node, unsigned clients, unsigned count);

#endif
