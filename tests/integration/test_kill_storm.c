/*
 * A storm: diskd, poold and now and then storaged itself are killed at random moments, under busy
 * clients (storm.h). Afterwards all that was acknowledged is there and nothing else is, in every
 * list, in the books and on the disks; and each retry finds what it made. How long the outages
 * were is printed: from the kill to the next answered call.
 *
 * STORAGED_TEST_SECONDS makes it longer, STORAGED_TEST_SEED throws the same dice again.
 */
#include "dice.h"
#include "poolnode.h"
#include "storm.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>

#define DISK_BYTES (4 * GiB)

enum { CLIENTS = 8, SECONDS = 60, OUTAGES_MAX = 65536, PAUSE_MS_MAX = 700, ASK_EVERY_MS = 1 };

/* ---- outages ---- */

enum cause { KILLED, SUPERVISOR_KILLED, CAUSES };

struct outages {
    double ms[OUTAGES_MAX];
    size_t n;
};

/* Asks one worker all the time. */
struct prober {
    pthread_t thread;
    struct storage *storage;
    const char *worker;
    int (*ask)(struct storage *storage);
    atomic_bool *stop;
    pthread_mutex_t mutex; /* of all below */
    uint64_t killed_ns;    /* 0: it answers */
    uint64_t old_epoch;    /* whose answers do not count */
    enum cause cause;
    struct outages outages[CAUSES];
};

static int ask_poold(struct storage *storage)
{
    autoreply Storage__V1__CapacityReply *reply = NULL;
    return call_capacity(storage, SSD, &reply, NULL);
}

static int ask_diskd(struct storage *storage)
{
    autoreply Storage__V1__DiskListReply *disks = NULL;
    return call_disks(storage, &disks, NULL);
}

static void take_answer(struct prober *prober, uint64_t epoch)
{
    (void)pthread_mutex_lock(&prober->mutex);
    if (prober->killed_ns != 0 && epoch != prober->old_epoch) {
        struct outages *outages = &prober->outages[prober->cause];
        uint64_t took_ns = clock_read_ns(CLOCK_MONOTONIC) - prober->killed_ns;
        if (outages->n < OUTAGES_MAX)
            outages->ms[outages->n++] = (double)took_ns / 1e6;
        prober->killed_ns = 0;
    }
    (void)pthread_mutex_unlock(&prober->mutex);
}

static void *probe(void *data)
{
    struct prober *prober = data;
    while (!*prober->stop) {
        if (prober->ask(prober->storage) == 0)
            take_answer(prober, storage_epoch(prober->storage));
        (void)poll(NULL, 0, ASK_EVERY_MS);
    }
    return NULL;
}

/* One that was not back yet stays down since its first kill. */
static void note_kill(struct prober *prober, uint64_t epoch, enum cause cause)
{
    (void)pthread_mutex_lock(&prober->mutex);
    if (prober->killed_ns == 0)
        prober->killed_ns = clock_read_ns(CLOCK_MONOTONIC);
    prober->old_epoch = epoch;
    prober->cause = cause;
    (void)pthread_mutex_unlock(&prober->mutex);
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void print_outages(struct prober *prober, enum cause cause)
{
    struct outages *outages = &prober->outages[cause];
    if (outages->n == 0)
        return;
    qsort(outages->ms, outages->n, sizeof *outages->ms, compare);
    (void)fprintf(stderr,
                  "%s killed, %s answers again: n=%zu p50=%.0f ms p99=%.0f ms max=%.0f ms\n",
                  cause == KILLED ? prober->worker : "storaged", prober->worker, outages->n,
                  outages->ms[outages->n / 2], outages->ms[outages->n * 99 / 100],
                  outages->ms[outages->n - 1]);
}

/* ---- the storm ---- */

/* A pool on each of two disks. That a worker dies soon after its start is no failure here, and
 * nobody waits for the next one longer than it takes. */
static struct node *start_node(void)
{
    struct disk *disks[] = {disk_create(DISK_BYTES, DISK_SSD), disk_create(DISK_BYTES, DISK_SSD)};
    struct node *node = node_create(disks[0], disks[1]);
    node_set(node, "spaces.headroom", "0");
    node_set(node, "supervisor.healthy_ms", "1");
    node_set(node, "supervisor.backoff_max_ms", "200");
    node_start(node);
    node_wait_cache(node, true);
    for (size_t i = 0; i < array_length(disks); i++) {
        autoerr struct err err = {0};
        autoreply Storage__V1__Disk *disk = NULL;
        autoreply Storage__V1__PrepareReply *prepared = NULL;
        assert_ok(call_disk(node->storage, disks[i]->path, &disk, &err), &err);
        if (disk->state == STORAGE__V1__DISK_STATE__DISK_STATE_BLANK)
            assert_ok(call_prepare(node->storage, disks[i]->path, &prepared, &err), &err);
    }
    node_wait_pools(node, 2);
    return node;
}

struct storm {
    struct node *node;
    uint64_t random;
    atomic_bool clients_stop, probers_stop;
    struct prober diskd, poold;
    struct storm_client clients[CLIENTS];
    unsigned kills;
};

static void prober_start(struct storm *storm, struct prober *prober, const char *worker,
                         int (*ask)(struct storage *storage))
{
    prober->worker = worker;
    prober->ask = ask;
    prober->stop = &storm->probers_stop;
    prober->storage = node_client(storm->node);
    assert_int_equal(pthread_mutex_init(&prober->mutex, NULL), 0);
    assert_int_equal(pthread_create(&prober->thread, NULL, probe, prober), 0);
}

static void prober_end(struct prober *prober)
{
    assert_int_equal(pthread_join(prober->thread, NULL), 0);
    storage_close(prober->storage);
    (void)pthread_mutex_destroy(&prober->mutex);
}

static void begin(struct storm *storm)
{
    prober_start(storm, &storm->diskd, "diskd", ask_diskd);
    prober_start(storm, &storm->poold, "poold", ask_poold);
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct storm_client *client = &storm->clients[i];
        client->number = i;
        client->random = 1 + dice(&storm->random, UINT64_MAX - 1);
        client->stop = &storm->clients_stop;
        storm_client_start(client, storm->node);
    }
}

static void kill_worker(struct storm *storm, struct prober *prober)
{
    struct worker_info victim = node_worker(storm->node, prober->worker);
    if (victim.pid <= 0)
        return; /* it waits for its next start */
    note_kill(prober, victim.epoch, KILLED);
    if (kill(victim.pid, SIGKILL) == 0)
        storm->kills++;
    else
        assert_int_equal(errno, ESRCH); /* still listed after its last death */
}

static void kill_supervisor(struct storm *storm)
{
    struct worker_info diskd = node_worker(storm->node, "diskd");
    struct worker_info poold = node_worker(storm->node, "poold");
    note_kill(&storm->diskd, diskd.epoch, SUPERVISOR_KILLED);
    note_kill(&storm->poold, poold.epoch, SUPERVISOR_KILLED);
    node_kill(storm->node);
    node_spawn(storm->node);
    node_connect(storm->node);
    storm->kills++;
}

static void rage(struct storm *storm, uint64_t seconds)
{
    uint64_t end = clock_monotonic_ms() + seconds * 1000;
    while (clock_monotonic_ms() < end && !storm->clients_stop) {
        (void)poll(NULL, 0, (int)dice(&storm->random, PAUSE_MS_MAX));
        uint64_t who = dice(&storm->random, 16);
        if (who == 0)
            kill_supervisor(storm);
        if (who > 0 && who < 11)
            kill_worker(storm, &storm->poold);
        if (who > 8)
            kill_worker(storm, &storm->diskd);
    }
}

static void calm_down(struct storm *storm)
{
    unsigned reserved = 0, released = 0, reads = 0, again = 0;
    uint64_t longest_ms = 0;
    storm->clients_stop = true;
    for (unsigned i = 0; i < CLIENTS; i++) {
        const struct storm_client *client = &storm->clients[i];
        storm_client_join(&storm->clients[i]);
        reserved += client->reserved;
        released += client->released;
        reads += client->gets + client->lists;
        again += client->again;
        longest_ms = client->longest_ms > longest_ms ? client->longest_ms : longest_ms;
    }
    storm->probers_stop = true;
    prober_end(&storm->diskd);
    prober_end(&storm->poold);
    (void)fprintf(stderr,
                  "%u kills; %u spaces reserved, %u released, %u reads; %u calls made again; the "
                  "longest took %llu ms\n",
                  storm->kills, reserved, released, reads, again, (unsigned long long)longest_ms);
    for (enum cause cause = KILLED; cause < CAUSES; cause++) {
        print_outages(&storm->diskd, cause);
        print_outages(&storm->poold, cause);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        if (*storm->clients[i].trouble)
            fail_msg("%s", storm->clients[i].trouble);
    assert_true(reserved > 0 && released > 0);
}

/* ---- afterwards ---- */

static void wait_for_workers(struct node *node)
{
    (void)node_wait_worker(node, "diskd", 0);
    (void)node_wait_worker(node, "poold", 0);
}

static void wait_for_all(struct node *node)
{
    wait_for_workers(node);
    node_wait_pools(node, 2);
    node_wait_cache(node, true);
    poolnode_wait_reaped(node);
}

static bool is_in_journal(const struct storm *storm, const char *id)
{
    for (size_t i = 0; i < CLIENTS; i++)
        for (size_t k = 0; k < STORM_SLOTS; k++)
            if (strcmp(storm->clients[i].slots[k].id, id) == 0)
                return true;
    return false;
}

/* What is listed is in a journal, and as many as are in the journals are listed. */
static void must_be_as_acknowledged(const struct storm *storm)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__SpaceListReply *list = NULL;
    size_t n = 0;
    assert_ok(call_spaces(storm->node->storage, &list, &err), &err);
    for (size_t i = 0; i < list->n_spaces; i++)
        if (!is_in_journal(storm, list->spaces[i]->id))
            fail_msg("%s (%s) is listed, and was acknowledged to nobody", list->spaces[i]->id,
                     list->spaces[i]->name);
    for (size_t i = 0; i < CLIENTS; i++)
        for (size_t k = 0; k < STORM_SLOTS; k++)
            n += *storm->clients[i].slots[k].id != '\0';
    assert_int_equal(list->n_spaces, n);
}

static void find_all_again(struct storm *storm)
{
    for (size_t i = 0; i < CLIENTS; i++)
        for (size_t k = 0; k < STORM_SLOTS; k++)
            if (*storm->clients[i].slots[k].id)
                storm_find_again(storm->node->storage, &storm->clients[i].slots[k]);
}

static void release_all(struct storm *storm)
{
    for (size_t i = 0; i < CLIENTS; i++)
        for (size_t k = 0; k < STORM_SLOTS; k++)
            if (*storm->clients[i].slots[k].id)
                must_release(storm->node, storm->clients[i].slots[k].id);
    poolnode_wait_reaped(storm->node);
}

static void what_was_acknowledged_outlives_a_storm(void)
{
    static struct storm storm;
    uint64_t seconds = number_from_environment("STORAGED_TEST_SECONDS", SECONDS);
    storm.random = dice_seed();
    storm.node = start_node();
    begin(&storm);
    rage(&storm, seconds);
    wait_for_workers(storm.node);
    calm_down(&storm);
    wait_for_all(storm.node);
    must_be_as_acknowledged(&storm);
    poolnode_must_balance(storm.node);

    autoerr struct err err = {0};
    assert_ok(node_shutdown(storm.node, &err), &err);
    node_start(storm.node);
    wait_for_all(storm.node);
    must_be_as_acknowledged(&storm);
    find_all_again(&storm);
    poolnode_must_balance(storm.node);
    release_all(&storm);
    poolnode_must_balance(storm.node);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {harness_case(what_was_acknowledged_outlives_a_storm)};
    return harness_main(argc, argv, "kill storm", cases, array_length(cases));
}
