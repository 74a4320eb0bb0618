/*
 * A 0-db that misbehaves on a real node: what is reserved on it ends in time with an error that
 * says why, nothing of it stays booked, and the 0-db of the other pool does not notice.
 */
#include "zdbnode.h"

#include <stdio.h>

#define FAULTY_BYTES (4 * GiB) /* with most room: what is reserved goes there */
#define OTHER_BYTES  (2 * GiB)
#define LEFT_BYTES   (128 * MiB)

enum { CALL_MS = 6000, SHORT_MS = 1500, LATE_MS = 1500 };

struct bed {
    struct node *node;
    struct storage *storage; /* with a deadline of its own */
    char *script;            /* of the pool that is faulty */
    Storage__V1__ZDBNamespace *other;
    Storage__V1__ZDBInstance *faulty, *well;
};

/* One on the other pool stays; as does one on this, which is to be there again after each fault. */
static void bed_open(struct bed *bed, uint32_t timeout_ms)
{
    autoerr struct err err = {0};
    struct disk *disks[] = {disk_create(FAULTY_BYTES, DISK_SSD), disk_create(OTHER_BYTES, DISK_SSD),
                            NULL};
    *bed = (struct bed){.node = zdbnode_create_list(disks)};
    node_set(bed->node, "zdb.binary", STORAGED_BIN_DIR "/test_zdbd_standin");
    node_set(bed->node, "zdb.always", "yes");
    node_set(bed->node, "supervisor.backoff_min_ms", "10");
    zdbnode_start_pools(bed->node, disks);
    autoreply Storage__V1__Space *ballast =
        must_reserve(bed->node, "ballast", SSD, poolnode_capacity(bed->node).largest - LEFT_BYTES);
    bed->other = zdbnode_reserve(bed->node, "other", MiB);
    assert_string_not_equal(bed->other->pool, ballast->pool);
    must_release(bed->node, ballast->id);
    poolnode_wait_reaped(bed->node);
    zdbnode_wait_instance(bed->node, ballast->pool, ZDB(UP));
    bed->faulty = zdbnode_instance(bed->node, ballast->pool);
    bed->well = zdbnode_instance(bed->node, bed->other->pool);
    bed->script = poolnode_path(bed->node, ballast->pool, "zdb/data/script");
    const struct storage_options options = {.run_dir = bed->node->run_dir,
                                            .timeout_ms = timeout_ms};
    assert_ok(storage_open(&options, &bed->storage, &err), &err);
}

static void bed_close(struct bed *bed)
{
    autoreply Storage__V1__ZDBInstance *well = zdbnode_instance(bed->node, bed->other->pool);
    assert_int_equal(well->pid, bed->well->pid);
    assert_int_equal(well->restarts, 0);
    assert_int_equal(well->state, ZDB(UP));
    /* Nobody was told of what did not come to be. */
    for (size_t i = 0; i < watch_count(bed->node->watch); i++) {
        const Storage__V1__Event *event = watch_at(bed->node->watch, i);
        if (event->body_case == STORAGE__V1__EVENT__BODY_ZDB_NAMESPACE)
            assert_string_not_equal(event->zdb_namespace->name, "faulty");
    }
    storage_close(bed->storage);
    storage_free(bed->other);
    storage_free(bed->faulty);
    storage_free(bed->well);
    free(bed->script);
}

static void tell(const struct bed *bed, const char *script)
{
    autofree char *fresh = path_format("%s.new", bed->script);
    file_write(fresh, script, strlen(script));
    command_ok("chmod", "0644", fresh);
    command_ok("mv", fresh, bed->script);
}

static bool only_other_is_booked(struct node *node, void *data)
{
    const struct bed *bed = data;
    autoreply Storage__V1__ListBookingsReply *list = NULL;
    return call_bookings(node->storage, &list, NULL) == 0 && list->n_bookings == 1 &&
           strcmp(list->bookings[0]->id, bed->other->id) == 0;
}

struct fault {
    const char *script;
    enum err_code code;
    const char *text;
};

static void refuse(struct bed *bed, const struct fault *fault, uint64_t within_ms)
{
    autoerr struct err err = {0};
    Storage__V1__ZDBNamespace *none = NULL;
    const Storage__V1__NamespaceReserveRequest request = zdbnode_request("faulty", MiB);
    uint64_t begun_ms = clock_monotonic_ms();
    int rc = zdbnode_call_reserve(bed->storage, &request, &none, &err);
    /* What waits to the last moment may not be taken back before the deadline. */
    if (within_ms != SHORT_MS || rc != -ERR_DEADLINE_EXCEEDED)
        assert_refused(rc, &err, fault->code, fault->text);
    assert_true(clock_monotonic_ms() - begun_ms <= within_ms + LATE_MS);
    autoreply Storage__V1__NamespaceUsage *usage = zdbnode_usage(bed->node, bed->other->id);
    assert_int_equal(usage->limit_bytes, MiB);
}

/* Then it is as if nothing had been. */
static void recover(struct bed *bed)
{
    tell(bed, "");
    zdbnode_wait_instance(bed->node, bed->faulty->pool, ZDB(UP));
    node_wait(bed->node, only_other_is_booked, bed, "nothing of it is booked any more");
    autoreply Storage__V1__ZDBNamespace *made = zdbnode_reserve(bed->node, "after", MiB);
    assert_string_equal(made->pool, bed->faulty->pool);
    zdbnode_must_balance(bed->node, 2);
    assert_true(zdbnode_release(bed->node, made->id));
    zdbnode_must_balance(bed->node, 1);
}

static void a_command_goes_wrong(void)
{
    static const struct fault faults[] = {
        {"NSNEW! say ?garbage\n", ERR_UNAVAILABLE, "no RESP"},
        {"NSSET:password say :1\n", ERR_INTERNAL, "refuses"},
        {"NSSET:mode say -No such mode\n", ERR_INTERNAL, "refuses: No such mode"},
        {"NSSET! end 7\n", ERR_UNAVAILABLE, "was not heard"},
        {"NSNEW! close\n", ERR_UNAVAILABLE, "closed the connection"},
        {"NSINFO+ lie\n", ERR_INTERNAL, "limit 10485760 for 1048576"},
        {"NSINFO! text nothing\n", ERR_DATA_LOSS, "gives no account"},
        {"NSNEW! hang\n", ERR_UNAVAILABLE, "was not answered within 3500 ms"},
    };
    struct bed bed;
    bed_open(&bed, CALL_MS);
    for (size_t i = 0; i < array_length(faults); i++) {
        tell(&bed, faults[i].script);
        refuse(&bed, &faults[i], CALL_MS);
        recover(&bed);
    }
    bed_close(&bed);
}

/* What it made stands, and it dies before it can be taken back: that is done when it is up. */
static void it_dies_while_it_is_undone(void)
{
    static const struct fault fault = {"NSINFO+ lie\nNSDEL+ end 7\n", ERR_INTERNAL, "limit"};
    struct bed bed;
    bed_open(&bed, CALL_MS);
    tell(&bed, fault.script);
    refuse(&bed, &fault, CALL_MS);
    recover(&bed);
    bed_close(&bed);
}

/* Its 0-db stays up, so that a timer tries again: as soon each time, for what was before is over.
 */
static void it_cannot_be_undone_at_first(void)
{
    enum { ROUNDS = 5, ROUND_MS = 7000 };
    static const struct fault fault = {"NSINFO+ lie\nNSDEL+ say -No\n", ERR_INTERNAL, "limit"};
    struct bed bed;
    bed_open(&bed, CALL_MS);
    for (int i = 0; i < ROUNDS; i++) {
        tell(&bed, fault.script);
        refuse(&bed, &fault, CALL_MS);
        uint64_t begun_ms = clock_monotonic_ms();
        recover(&bed);
        assert_true(clock_monotonic_ms() - begun_ms < ROUND_MS);
    }
    bed_close(&bed);
}

static void restart(struct bed *bed)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__ZDBInstance *instance = NULL;
    Storage__V1__ZDBRestartRequest request = STORAGE__V1__ZDBRESTART_REQUEST__INIT;
    request.pool = bed->faulty->pool;
    assert_ok(storage_call(bed->node->storage, "storage.v1.ZDBService/Restart", &request, &instance,
                           &err),
              &err);
}

static void it_never_comes_up(void)
{
    static const struct fault faults[] = {
        {"start silent\n", ERR_UNAVAILABLE, "is starting"},
        {"start deaf\n", ERR_UNAVAILABLE, "is starting"},
        {"start end 3\n", ERR_UNAVAILABLE, "exit 3"},
    };
    struct bed bed;
    bed_open(&bed, SHORT_MS);
    for (size_t i = 0; i < array_length(faults); i++) {
        tell(&bed, faults[i].script);
        restart(&bed);
        refuse(&bed, &faults[i], SHORT_MS);
        node_wait(bed.node, only_other_is_booked, &bed, "nothing is booked for it");
        tell(&bed, "");
        restart(&bed);
        recover(&bed);
    }
    bed_close(&bed);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_command_goes_wrong),
        harness_case(it_dies_while_it_is_undone),
        harness_case(it_cannot_be_undone_at_first),
        harness_case(it_never_comes_up),
    };
    return harness_main(argc, argv, "zdbd_faults", cases, array_length(cases));
}
