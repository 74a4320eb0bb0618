/*
 * zdbd is killed again and again under load on four 0-db, and so is storaged: not one command of a
 * client fails, no second 0-db comes to be, and the next zdbd watches all four.
 * STORAGED_TEST_KILLS makes it longer.
 */
#include "busy.h"
#include "zdbnode.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define DISK_BYTES (2 * GiB)

enum { POOLS = 4, KILLS = 12, STORAGED_KILLS = 3 };

/* A namespace on each pool, with a client inside. */
struct load {
    struct node *node;
    struct busy *busy[POOLS];
    Storage__V1__ZDBNamespace *spaces[POOLS];
    uint32_t pids[POOLS];
};

static void load_begin(struct load *load)
{
    struct disk *disks[POOLS + 1] = {NULL};
    for (size_t i = 0; i < POOLS; i++)
        disks[i] = disk_create(DISK_BYTES, DISK_SSD);
    load->node = zdbnode_create_list(disks);
    node_set(load->node, "supervisor.healthy_ms", "1"); /* a death is nothing to wait for */
    zdbnode_start_pools(load->node, disks);
    for (size_t i = 0; i < POOLS; i++) {
        autofree char *name = path_format("busy-%zu", i);
        load->spaces[i] = zdbnode_reserve(load->node, name, 256 * MiB);
        const char *pool = load->spaces[i]->pool;
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(pool, load->spaces[k]->pool);
        autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(load->node, pool);
        load->pids[i] = instance->pid;
        load->busy[i] = busy_start(load->spaces[i], PASSWORD);
    }
}

static unsigned count_processes(const char *wanted)
{
    unsigned n = 0;
    autodir DIR *proc = opendir("/proc");
    assert_non_null(proc);
    for (struct dirent *entry; (entry = readdir(proc));) {
        autofree char *path = path_format("/proc/%s/comm", entry->d_name);
        autofree char *name =
            entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? file_try_read(path, NULL) : NULL;
        n += name && strcmp(name, wanted) == 0;
    }
    return n;
}

static void load_end(struct load *load)
{
    for (size_t i = 0; i < POOLS; i++) {
        busy_end(load->busy[i]);
        autoreply Storage__V1__ZDBInstance *instance =
            zdbnode_instance(load->node, load->spaces[i]->pool);
        assert_int_equal(instance->pid, load->pids[i]);
        storage_free(load->spaces[i]);
    }
    assert_int_equal(count_processes("zdb\n"), POOLS);
    zdbnode_must_balance(load->node, POOLS);
}

static void no_client_notices_that_zdbd_dies(void)
{
    struct load load;
    const char *text = getenv("STORAGED_TEST_KILLS");
    unsigned long n_kills = text ? strtoul(text, NULL, 10) : KILLS, worst_ms = 0;
    load_begin(&load);
    for (unsigned long i = 0; i < n_kills; i++) {
        uint64_t start = clock_monotonic_ms();
        zdbnode_kill_zdbd(load.node);
        zdbnode_wait_all_live(load.node, POOLS);
        uint64_t took = clock_monotonic_ms() - start;
        worst_ms = took > worst_ms ? took : worst_ms;
    }
    load_end(&load);
    (void)fprintf(stderr, "%lu kills, %lu ms at most until all four were watched\n", n_kills,
                  worst_ms);
}

static bool has_written(struct node *node, void *data)
{
    const struct load *load = data;
    (void)node;
    for (size_t i = 0; i < POOLS; i++)
        if (busy_count(load->busy[i]) == 0)
            return false;
    return true;
}

/* Killed as it runs, and stopped as for an upgrade. */
static void no_client_notices_that_storaged_goes(void)
{
    struct load load;
    load_begin(&load);
    node_wait(load.node, has_written, &load, "all clients are inside");
    for (int i = 0; i < STORAGED_KILLS; i++) {
        if (i % 2 == 0)
            node_kill(load.node);
        else
            node_stop(load.node);
        node_start(load.node);
        zdbnode_wait_all_live(load.node, POOLS);
    }
    load_end(&load);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(no_client_notices_that_zdbd_dies),
        harness_case(no_client_notices_that_storaged_goes),
    };
    return harness_main(argc, argv, "adoption", cases, array_length(cases));
}
