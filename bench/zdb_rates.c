/*
 * SET and GET of zdb against redis-server that appends to its file and syncs it every second, which
 * is what zdb does by default; and how far a sync is shared by those who wait for one.
 */
#include "suites.h"
#include "zdb_load.h"

#include <stdio.h>

enum { CLIENTS = 50, KEYS = 100000, ROUNDS = 15, RUN_MS = 150, SYNC_ROUNDS = 9, SYNC_MS = 300 };

struct side {
    const struct kv_server *server;
    struct samples rates;
    uint64_t operations, processor_ns;
};

static void take_turn(struct side *side, struct load load)
{
    load.server = side->server;
    uint64_t before = kv_processor_ns(side->server);
    struct load_result result = load_run(&load, NULL);
    side->processor_ns += kv_processor_ns(side->server) - before;
    side->operations += result.operations;
    samples_add(&side->rates, result.rate / 1e3);
}

static double processor_us(const struct side *side)
{
    return (double)side->processor_ns / 1e3 / (double)side->operations;
}

/* The two take turns, so that what slows the machine down slows both; and what an operation takes
 * of the processor says the same where others want it too. */
static void measure(const struct kv_server *redis, const struct kv_server *zdb, struct load load)
{
    char name[48], processor[64];
    struct side ours = {.server = zdb}, theirs = {.server = redis};
    (void)snprintf(name, sizeof name, "zdb_%s_%u_pipeline_%u", load.set ? "set" : "get",
                   load.value_bytes, load.pipeline);
    (void)snprintf(processor, sizeof processor, "%s_processor", name);
    if (!report_wants(name))
        return;
    for (int round = 0; round < ROUNDS; round++) {
        take_turn(&theirs, load);
        take_turn(&ours, load);
    }
    report_row(name, samples_p50(&ours.rates), samples_p50(&theirs.rates), "k/s", ">=1");
    report_row(processor, processor_us(&ours), processor_us(&theirs), "us", "");
    samples_free(&ours.rates);
    samples_free(&theirs.rates);
}

void suite_zdb_rates(void)
{
    static const uint32_t sizes[] = {64, 4096};
    static const unsigned pipelines[] = {1, 16};
    const char *parent = kv_mount();
    struct kv_server redis, zdb;
    kv_redis(&redis, parent);
    kv_zdb(&zdb, parent, "zdb", NULL);
    for (size_t size = 0; size < array_length(sizes); size++) {
        struct load load = {.clients = CLIENTS,
                            .value_bytes = sizes[size],
                            .kind = 'k',
                            .keys = KEYS,
                            .ms = RUN_MS};
        (void)kv_start(&redis);
        (void)kv_start(&zdb);
        load_fill(&redis, load.kind, KEYS, load.value_bytes);
        load_fill(&zdb, load.kind, KEYS, load.value_bytes);
        for (int set = 0; set < 2; set++)
            for (size_t i = 0; i < array_length(pipelines); i++) {
                load.set = !set;
                load.pipeline = pipelines[i];
                measure(&redis, &zdb, load);
            }
        bool last = size + 1 == array_length(sizes);
        kv_stop(&redis, last);
        kv_stop(&zdb, last);
    }
    kv_unmount();
}

void suite_zdb_sync(void)
{
    static const char *const flags[] = {"--sync", NULL};
    struct kv_server zdb;
    struct samples many = {0}, one = {0};
    kv_zdb(&zdb, kv_mount(), "zdb", flags);
    (void)kv_start(&zdb);
    struct load load = {.server = &zdb,
                        .set = true,
                        .pipeline = 1,
                        .value_bytes = 64,
                        .kind = 'k',
                        .keys = KEYS,
                        .ms = SYNC_MS};
    for (int round = 0; round < SYNC_ROUNDS; round++) {
        load.clients = 1;
        samples_add(&one, load_run(&load, NULL).rate);
        load.clients = CLIENTS;
        samples_add(&many, load_run(&load, NULL).rate);
    }
    report_row("zdb_sync_50_clients_against_1", samples_p50(&many) / 1e3, samples_p50(&one) / 1e3,
               "k/s", ">=15");
    samples_free(&many);
    samples_free(&one);
    kv_stop(&zdb, true);
    kv_unmount();
}
