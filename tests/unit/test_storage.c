/* libstorage: calls, refusals, workers that are down, the control socket, following events. */
#include "storage_fixture.h"

#include "base/clock.h"

#include <string.h>

#define RESERVE "storage.v1.SpaceService/Reserve"

enum { SHORT_MS = 300, LONG_MS = 20000 };

static void cleanup_storage(struct storage **storage)
{
    storage_close(*storage);
}
#define autostorage __attribute__((cleanup(cleanup_storage)))

static struct storage *open_handle(uint32_t timeout_ms, bool wait)
{
    struct storage_options options = {
        .run_dir = fixture_run_dir, .timeout_ms = timeout_ms, .wait = wait};
    struct storage *storage = NULL;
    assert_int_equal(storage_open(&options, &storage, NULL), 0);
    return storage;
}

/* Reserves by name; the generation it got, or the negative code. */
static int64_t reserve(struct storage *storage, const char *name, struct err *err)
{
    Storage__V1__ReserveRequest request = STORAGE__V1__RESERVE_REQUEST__INIT;
    request.name = (char *)(uintptr_t)name;
    request.size_bytes = 42;
    request.disk_type = STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD;
    Storage__V1__Space *space = NULL;
    int rc = storage_call(storage, RESERVE, &request, &space, err);
    if (rc < 0) {
        assert_null(space);
        return rc;
    }
    assert_string_equal(space->name, name);
    assert_int_equal(space->size_bytes, 42);
    int64_t generation = (int64_t)space->generation;
    storage_free(space);
    return generation;
}

static void must_say(const struct err *err, const char *text)
{
    if (!strstr(err->message, text))
        fail_msg("no \"%s\" in \"%s\"", text, err->message);
}

/* --- calls ----------------------------------------------------------------------------------- */

static void a_call_is_answered(void **state)
{
    (void)state;
    fixture_start_poold(0);
    autostorage struct storage *storage = open_handle(LONG_MS, true);
    assert_int_equal(reserve(storage, "a", NULL), 1);
    assert_int_equal(storage_epoch(storage), FIXTURE_EPOCH);
    assert_int_equal(reserve(storage, "b", NULL), 2);
    fixture_stop_poold();
}

static void a_refusal_keeps_its_details(void **state)
{
    (void)state;
    fixture_start_poold(0);
    autostorage struct storage *storage = open_handle(LONG_MS, true);
    autoerr struct err err = {0};
    assert_int_equal(reserve(storage, "held", &err), -ERR_FAILED_PRECONDITION);
    assert_string_equal(err.message, "the space is held");
    assert_string_equal(err.object, "space-1");
    assert_string_equal(err.hint, "let it go");
    assert_int_equal(err.os_errno, 16);
    assert_int_equal(err.n_blockers, 2);
    assert_string_equal(err.blockers[1], "process 2");
    assert_int_equal(storage_epoch(storage), FIXTURE_EPOCH);
    fixture_stop_poold();
}

static void a_request_id_is_for_one_call(void **state)
{
    (void)state;
    fixture_start_poold(0);
    autostorage struct storage *storage = open_handle(LONG_MS, true);
    assert_int_equal(storage_set_request_id(storage, "same", NULL), 0);
    assert_int_equal(reserve(storage, "a", NULL), 1);
    assert_int_equal(storage_set_request_id(storage, "same", NULL), 0);
    assert_int_equal(reserve(storage, "a", NULL), 1);
    assert_int_equal(reserve(storage, "a", NULL), 2);
    char long_id[80] = {0};
    memset(long_id, 'x', sizeof long_id - 1);
    assert_int_equal(storage_set_request_id(storage, long_id, NULL), -ERR_INVALID_ARGUMENT);
    fixture_stop_poold();
}

static void misuse_is_told(void **state)
{
    (void)state;
    autostorage struct storage *storage = open_handle(SHORT_MS, false);
    Storage__V1__ReserveRequest request = STORAGE__V1__RESERVE_REQUEST__INIT;
    Storage__V1__EventSinceRequest since = STORAGE__V1__EVENT_SINCE_REQUEST__INIT;
    const struct {
        const char *method;
        const void *input;
        int rc;
        const char *says;
    } wrong[] = {
        {"Reserve", &request, -ERR_UNIMPLEMENTED, "no method Reserve"},
        {"storage.v1.SpaceService/Reserv", &request, -ERR_UNIMPLEMENTED, "no method"},
        {"storage.v1.SpaceServic/Reserve", &request, -ERR_UNIMPLEMENTED, "no method"},
        {RESERVE, &since, -ERR_INVALID_ARGUMENT, "takes a storage.v1.ReserveRequest"},
        {"storage.v1.EventLog/Since", &since, -ERR_INVALID_ARGUMENT, "name one"},
        {"storage.v1.EventLog/Since@../x", &since, -ERR_INVALID_ARGUMENT, "no name of a worker"},
        {"storage.v1.EventLog/Since@", &since, -ERR_INVALID_ARGUMENT, "no name of a worker"},
    };
    for (size_t i = 0; i < array_length(wrong); i++) {
        autoerr struct err err = {0};
        void *reply = NULL;
        assert_int_equal(storage_call(storage, wrong[i].method, wrong[i].input, &reply, &err),
                         wrong[i].rc);
        must_say(&err, wrong[i].says);
        assert_null(reply);
    }
}

static void a_service_of_every_worker_wants_its_name(void **state)
{
    (void)state;
    fixture_start_poold(0);
    autostorage struct storage *storage = open_handle(LONG_MS, true);
    Storage__V1__EventSinceRequest since = STORAGE__V1__EVENT_SINCE_REQUEST__INIT;
    Storage__V1__EventSinceReply *reply = NULL;
    assert_int_equal(storage_call(storage, "storage.v1.EventLog/Since@poold", &since, &reply, NULL),
                     0);
    assert_int_equal(reply->epoch, FIXTURE_EPOCH);
    storage_free(reply);
    fixture_stop_poold();
}

/* --- workers that are down ------------------------------------------------------------------- */

static void without_storaged_it_says_so(void **state)
{
    (void)state;
    autostorage struct storage *storage = open_handle(SHORT_MS, false);
    autoerr struct err err = {0};
    assert_int_equal(reserve(storage, "a", &err), -ERR_UNAVAILABLE);
    must_say(&err, "storaged does not run here");
    assert_true(err.retryable);

    autostorage struct storage *patient = open_handle(SHORT_MS, true);
    uint64_t begun = clock_monotonic_ms();
    assert_int_equal(reserve(patient, "a", &err), -ERR_UNAVAILABLE);
    assert_true(clock_monotonic_ms() - begun >= SHORT_MS);
}

static void start_control_with(Storage__V1__Worker *worker)
{
    Storage__V1__Status status = STORAGE__V1__STATUS__INIT;
    Storage__V1__WorkerListReply list = STORAGE__V1__WORKER_LIST_REPLY__INIT;
    Storage__V1__ControlReply reply = STORAGE__V1__CONTROL_REPLY__INIT;
    list.workers = &worker;
    list.n_workers = worker ? 1 : 0;
    reply.status = &status;
    reply.list = &list;
    fixture_start_control(&reply);
}

static void a_worker_that_is_down_has_its_state_told(void **state)
{
    (void)state;
    static const struct {
        Storage__V1__WorkerState state;
        uint32_t next_start_ms;
        const char *says;
        uint32_t retry_after_ms; /* 0: not retryable */
    } cases[] = {
        {STORAGE__V1__WORKER_STATE__WORKER_STATE_FAILING, 12000,
         "poold is failing: exit 1; next start in 12 s", 12000},
        {STORAGE__V1__WORKER_STATE__WORKER_STATE_BACKOFF, 200,
         "poold has failed: exit 1; next start in 200 ms", 200},
        {STORAGE__V1__WORKER_STATE__WORKER_STATE_STARTING, 0, "poold is starting", 250},
        {STORAGE__V1__WORKER_STATE__WORKER_STATE_CONFIG, 0,
         "poold refuses its configuration: exit 1; its last words: bad luck", 0},
        {STORAGE__V1__WORKER_STATE__WORKER_STATE_HUNG, 0, "poold hangs, and is being ended", 250},
    };
    for (size_t i = 0; i < array_length(cases); i++) {
        char *last_log = (char *)(uintptr_t) "bad luck";
        Storage__V1__Worker worker = STORAGE__V1__WORKER__INIT;
        worker.name = (char *)(uintptr_t) "poold";
        worker.exit_reason = (char *)(uintptr_t) "exit 1";
        worker.state = cases[i].state;
        worker.next_start_ms = cases[i].next_start_ms;
        worker.last_log = &last_log;
        worker.n_last_log = cases[i].retry_after_ms == 0;
        start_control_with(&worker);
        autostorage struct storage *storage = open_handle(SHORT_MS, false);
        autoerr struct err err = {0};
        assert_int_equal(reserve(storage, "a", &err), -ERR_UNAVAILABLE);
        assert_string_equal(err.object, "poold");
        must_say(&err, cases[i].says);
        assert_int_equal(err.retryable, cases[i].retry_after_ms > 0);
        assert_int_equal(err.retry_after_ms, cases[i].retry_after_ms);
        fixture_stop_control();
    }
}

static void a_worker_that_nobody_runs_is_told(void **state)
{
    (void)state;
    start_control_with(NULL);
    autostorage struct storage *storage = open_handle(SHORT_MS, false);
    autoerr struct err err = {0};
    assert_int_equal(reserve(storage, "a", &err), -ERR_UNAVAILABLE);
    must_say(&err, "runs no poold");
    fixture_stop_control();
}

static void a_patient_call_waits_for_its_worker(void **state)
{
    (void)state;
    autostorage struct storage *storage = open_handle(LONG_MS, true);
    uint64_t begun = clock_monotonic_ms();
    fixture_start_poold(SHORT_MS);
    assert_int_equal(reserve(storage, "a", NULL), 1);
    assert_true(clock_monotonic_ms() - begun >= SHORT_MS);
    fixture_stop_poold();
    fixture_start_poold(SHORT_MS);
    assert_int_equal(reserve(storage, "a", NULL), 1);
    fixture_stop_poold();
}

static void a_late_answer_stays_a_deadline(void **state)
{
    (void)state;
    Storage__V1__Worker worker = STORAGE__V1__WORKER__INIT;
    worker.name = (char *)(uintptr_t) "poold";
    worker.state = STORAGE__V1__WORKER_STATE__WORKER_STATE_READY;
    start_control_with(&worker);
    fixture_start_poold(0);
    autostorage struct storage *patient = open_handle(LONG_MS, true);
    assert_int_equal(reserve(patient, "a", NULL), 1);
    autostorage struct storage *storage = open_handle(SHORT_MS, true);
    autoerr struct err err = {0};
    assert_int_equal(reserve(storage, "hang", &err), -ERR_DEADLINE_EXCEEDED);
    fixture_stop_poold();
    fixture_stop_control();
}

/* --- the control socket ---------------------------------------------------------------------- */

static void control_answers_and_refuses(void **state)
{
    (void)state;
    Storage__V1__Worker worker = STORAGE__V1__WORKER__INIT;
    worker.name = (char *)(uintptr_t) "diskd";
    start_control_with(&worker);
    autostorage struct storage *storage = open_handle(LONG_MS, false);
    Storage__V1__WorkerListRequest list = STORAGE__V1__WORKER_LIST_REQUEST__INIT;
    Storage__V1__ControlRequest request = STORAGE__V1__CONTROL_REQUEST__INIT;
    request.verb_case = STORAGE__V1__CONTROL_REQUEST__VERB_LIST;
    request.list = &list;
    Storage__V1__ControlReply *reply = NULL;
    assert_int_equal(storage_control(storage, &request, &reply, NULL), 0);
    assert_string_equal(reply->list->workers[0]->name, "diskd");
    assert_int_equal(fixture_last_verb(), STORAGE__V1__CONTROL_REQUEST__VERB_LIST);
    storage_free(reply);
    fixture_stop_control();

    Storage__V1__ErrorDetails details = STORAGE__V1__ERROR_DETAILS__INIT;
    char *blocker = (char *)(uintptr_t) "poold: /mnt is busy";
    details.blockers = &blocker;
    details.n_blockers = 1;
    Storage__V1__Status status = STORAGE__V1__STATUS__INIT;
    status.code = STORAGE__V1__CODE__FAILED_PRECONDITION;
    status.message = (char *)(uintptr_t) "left busy";
    status.details = &details;
    Storage__V1__ControlReply refusal = STORAGE__V1__CONTROL_REPLY__INIT;
    refusal.status = &status;
    fixture_start_control(&refusal);
    autoerr struct err err = {0};
    assert_int_equal(storage_control(storage, &request, &reply, &err), -ERR_FAILED_PRECONDITION);
    assert_string_equal(err.blockers[0], blocker);
    fixture_stop_control();

    assert_int_equal(storage_control(storage, &request, &reply, &err), -ERR_UNAVAILABLE);
}

/* --- following ------------------------------------------------------------------------------- */

struct seen {
    struct storage *storage;
    const char *ask; /* reserved at the first resync */
    unsigned n_resyncs;
    uint64_t seq, until; /* ends with 7 at this one */
    bool disorder;
};

static int seen_up_to(struct seen *seen, uint64_t seq)
{
    seen->seq = seq;
    return seq >= seen->until ? 7 : 0;
}

static int on_event(const Storage__V1__Event *event, void *data)
{
    struct seen *seen = data;
    assert_string_equal(event->worker, "poold");
    seen->disorder |= event->seq != seen->seq + 1;
    return seen_up_to(seen, event->seq);
}

static int on_resync(const char *worker, uint64_t epoch, uint64_t seq, void *data)
{
    struct seen *seen = data;
    assert_string_equal(worker, "poold");
    assert_int_equal(epoch, FIXTURE_EPOCH);
    if (seen->n_resyncs++ == 0)
        assert_true(reserve(seen->storage, seen->ask, NULL) > 0);
    return seen_up_to(seen, seq);
}

static const char *const poold_alone[] = {"poold", NULL};

static void events_come_in_order_after_a_resync(void **state)
{
    (void)state;
    fixture_start_poold(SHORT_MS);
    autostorage struct storage *storage = open_handle(LONG_MS, true);
    struct seen seen = {.storage = storage, .ask = "burst-20", .until = 20};
    struct storage_follower follower = {.workers = poold_alone,
                                        .on_event = on_event,
                                        .on_resync = on_resync,
                                        .data = &seen,
                                        .deadline_ms = LONG_MS};
    assert_int_equal(storage_follow(storage, &follower, NULL), 7);
    assert_int_equal(seen.n_resyncs, 1);
    assert_false(seen.disorder);
    assert_int_equal(seen.seq, 20);
    fixture_stop_poold();
}

static void too_many_events_become_a_resync(void **state)
{
    (void)state;
    fixture_start_poold(0);
    autostorage struct storage *storage = open_handle(LONG_MS, true);
    struct seen seen = {.storage = storage, .ask = "burst-20000", .until = 20000};
    struct storage_follower follower = {.workers = poold_alone,
                                        .on_event = on_event,
                                        .on_resync = on_resync,
                                        .data = &seen,
                                        .deadline_ms = LONG_MS};
    assert_int_equal(storage_follow(storage, &follower, NULL), 7);
    assert_int_equal(seen.seq, 20000);
    fixture_stop_poold();
}

static void following_ends_at_its_deadlines(void **state)
{
    (void)state;
    autostorage struct storage *storage = open_handle(SHORT_MS, false);
    autoerr struct err err = {0};
    struct storage_follower follower = {.connect_ms = SHORT_MS};
    assert_int_equal(storage_follow(storage, &follower, &err), -ERR_UNAVAILABLE);
    must_say(&err, "storaged does not run here");
    follower = (struct storage_follower){.deadline_ms = SHORT_MS};
    assert_int_equal(storage_follow(storage, &follower, &err), -ERR_DEADLINE_EXCEEDED);
}

#define storage_test(function)                                                                     \
    cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        storage_test(a_call_is_answered),
        storage_test(a_refusal_keeps_its_details),
        storage_test(a_request_id_is_for_one_call),
        storage_test(misuse_is_told),
        storage_test(a_service_of_every_worker_wants_its_name),
        storage_test(without_storaged_it_says_so),
        storage_test(a_worker_that_is_down_has_its_state_told),
        storage_test(a_worker_that_nobody_runs_is_told),
        storage_test(a_patient_call_waits_for_its_worker),
        storage_test(a_late_answer_stays_a_deadline),
        storage_test(control_answers_and_refuses),
        storage_test(events_come_in_order_after_a_resync),
        storage_test(too_many_events_become_a_resync),
        storage_test(following_ends_at_its_deadlines),
    };
    return cmocka_run_group_tests_name("storage", tests, NULL, NULL);
}
