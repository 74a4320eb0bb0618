/*
 * Reserve of a namespace, against the round trips that nobody can do without: Book and Settle, both
 * durable, by a bare client of poold's, and between them the commands on the 0-db's own unix
 * socket, in one write. Both use the same poold and the same 0-db, and take turns.
 */
#include "suites.h"

#include "base/uuid.h"
#include "zdbnode.h"

#include <pthread.h>
#include <stdio.h>

/* In all fewer namespaces than one 0-db has descriptors for, which are about 1 000. */
enum { TURNS = 100, CROWD = 16, CROWD_COUNT = 128, CROWD_ROUNDS = 5, REPLIES = 6 };
#define NAMESPACE_BYTES MiB
#define DISK_BYTES      (256 * GiB)

/* Who reserves: a client of ours, and an admin of the 0-db. One thread each. */
struct reserver {
    struct storage *storage;
    struct client *admin;
    const char *pool;
    char (*made)[UUID_TEXT_SIZE]; /* by the floor, to be undone */
    size_t n_made;
    struct crowd *crowd;
    pthread_t thread;
};

typedef bool (*reserve_fn)(struct reserver *reserver);

static struct client *become_admin(struct node *node, const Storage__V1__ZDBInstance *instance)
{
    autofree char *path = path_format("%s/zdb/%s/password", node->run_dir, instance->pool);
    autofree char *password = file_read(path, NULL);
    struct client *admin = client_open_unix(instance->socket);
    const struct word words[] = {word("AUTH"), {password, strcspn(password, "\n")}};
    size_t size;
    assert_true(client_send_words(admin, words, array_length(words)));
    const uint8_t *reply = client_reply(admin, &size);
    assert_non_null(reply);
    assert_int_equal(reply[0], '+');
    return admin;
}

/* --- ours ------------------------------------------------------------------------------------ */

static bool reserve_ours(struct reserver *reserver)
{
    autoreply Storage__V1__ZDBNamespace *made = NULL;
    const Storage__V1__NamespaceReserveRequest request = zdbnode_request("", NAMESPACE_BYTES);
    return zdbnode_call_reserve(reserver->storage, &request, &made, NULL) == 0;
}

/* --- the floor ------------------------------------------------------------------------------- */

/* What has to be said to a 0-db, and what it answers. */
static bool make_bare(struct client *admin, const char *id)
{
    char request[1024];
    int size =
        snprintf(request, sizeof request,
                 "*2\r\n$5\r\nNSNEW\r\n$36\r\n%s\r\n"
                 "*4\r\n$5\r\nNSSET\r\n$36\r\n%s\r\n$8\r\npassword\r\n$11\r\n" PASSWORD "\r\n"
                 "*4\r\n$5\r\nNSSET\r\n$36\r\n%s\r\n$4\r\nmode\r\n$4\r\nuser\r\n"
                 "*4\r\n$5\r\nNSSET\r\n$36\r\n%s\r\n$6\r\npublic\r\n$1\r\n0\r\n"
                 "*4\r\n$5\r\nNSSET\r\n$36\r\n%s\r\n$7\r\nmaxsize\r\n$7\r\n1048576\r\n"
                 "*2\r\n$6\r\nNSINFO\r\n$36\r\n%s\r\n",
                 id, id, id, id, id, id);
    if (!client_send(admin, request, (size_t)size))
        return false;
    for (int i = 0; i < REPLIES; i++) {
        size_t length;
        const uint8_t *reply = client_reply(admin, &length);
        if (!reply || reply[0] != (i < REPLIES - 1 ? '+' : '$'))
            return false;
    }
    return true;
}

static bool reserve_bare(struct reserver *reserver)
{
    autoreply Storage__V1__Booking *booked = NULL, *settled = NULL;
    char *id = reserver->made[reserver->n_made++];
    uuid_random(id);
    return call_book(reserver->storage, id, reserver->pool, NAMESPACE_BYTES, &booked, NULL) == 0 &&
           make_bare(reserver->admin, id) &&
           call_settle(reserver->storage, id, &settled, NULL) == 0;
}

static void undo_bare(struct reserver *reserver)
{
    while (reserver->n_made > 0) {
        const char *id = reserver->made[--reserver->n_made];
        const struct word words[] = {word("NSDEL"), word(id)};
        autoerr struct err err = {0};
        bool existed;
        size_t size;
        assert_true(client_send_words(reserver->admin, words, array_length(words)));
        assert_non_null(client_reply(reserver->admin, &size));
        assert_ok(call_unbook(reserver->storage, id, &existed, &err), &err);
    }
}

/* --- one client ------------------------------------------------------------------------------ */

static double time_one(struct reserver *reserver, reserve_fn reserve)
{
    uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
    assert_true(reserve(reserver));
    return bench_ms_since(start);
}

static void measure_one_client(struct reserver *reserver)
{
    struct samples ours = {0}, bare = {0};
    for (int i = 0; i < TURNS; i++) {
        samples_add(&ours, time_one(reserver, reserve_ours));
        samples_add(&bare, time_one(reserver, reserve_bare));
    }
    undo_bare(reserver);
    report_row("zdbd_reserve_1_client", samples_p50(&ours), samples_p50(&bare), "ms", "<=1.3");
    samples_free(&ours);
    samples_free(&bare);
}

/* --- many ------------------------------------------------------------------------------------ */

struct crowd {
    reserve_fn reserve;
    _Atomic int left, failed;
};

static void *crowd_member(void *data)
{
    struct reserver *reserver = data;
    struct crowd *crowd = reserver->crowd;
    while (crowd->left-- > 0)
        if (!crowd->reserve(reserver))
            crowd->failed++;
    return NULL;
}

/* How many a second. */
static double rate(struct reserver *reservers, reserve_fn reserve)
{
    struct crowd crowd = {.reserve = reserve, .left = CROWD_COUNT};
    uint64_t start = clock_read_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < CROWD; i++) {
        reservers[i].crowd = &crowd;
        assert_int_equal(pthread_create(&reservers[i].thread, NULL, crowd_member, &reservers[i]),
                         0);
    }
    for (int i = 0; i < CROWD; i++)
        (void)pthread_join(reservers[i].thread, NULL);
    double per_second = CROWD_COUNT / (bench_ms_since(start) / 1e3);
    assert_int_equal(crowd.failed, 0);
    for (int i = 0; i < CROWD; i++)
        undo_bare(&reservers[i]);
    return per_second;
}

static void measure_crowd(struct reserver *reservers)
{
    struct samples ours = {0}, bare = {0};
    for (int i = 0; i < CROWD_ROUNDS; i++) {
        samples_add(&bare, rate(reservers, reserve_bare));
        samples_add(&ours, rate(reservers, reserve_ours));
    }
    report_row("zdbd_reserve_16_clients", samples_p50(&ours), samples_p50(&bare), "1/s", ">=0.6");
    samples_free(&ours);
    samples_free(&bare);
}

/* --- the suite ------------------------------------------------------------------------------- */

void suite_zdbd_reserve(void)
{
    struct reserver reservers[CROWD] = {0};
    struct node *node = bench_node(disk_create(DISK_BYTES, DISK_SSD));
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__ZDBNamespace *first = zdbnode_reserve(node, "first", NAMESPACE_BYTES);
    autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, first->pool);
    for (int i = 0; i < CROWD; i++) {
        struct reserver *reserver = &reservers[i];
        *reserver = (struct reserver){.storage = node_client(node),
                                      .admin = become_admin(node, instance),
                                      .pool = first->pool,
                                      .made = calloc(CROWD_COUNT, sizeof *reserver->made)};
        assert_non_null(reserver->made);
        /* Connected. */
        assert_true(reserve_ours(reserver));
        assert_true(reserve_bare(reserver));
        undo_bare(reserver);
    }
    if (report_wants("zdbd_reserve_1_client"))
        measure_one_client(&reservers[0]);
    if (report_wants("zdbd_reserve_16_clients"))
        measure_crowd(reservers);
    for (int i = 0; i < CROWD; i++) {
        storage_close(reservers[i].storage);
        client_close(reservers[i].admin);
        free(reservers[i].made);
    }
}
