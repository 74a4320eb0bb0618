/* Each worker has a connection and things of its own, so that the order of its requests is the
 * order of its changes. */
#include "powerwork.h"

#include "dice.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    WORKERS = 5,
    DEPTH = 4,
    THINGS = 4096,
    VERSIONS_STEP = 16,
    LARGE = 70000,
    KEYS = 16,
    NAMESPACES_KEPT = 3,
};

enum kind { KEYS_OF_DEFAULT, KEYS_OF_BUSY, IDS, NAMESPACES };

/* One change: 0 for both times is never. */
struct version {
    uint32_t number; /* of its payload; 0: deleted */
    uint64_t asked, answered;
};

struct thing {
    char name[24];
    uint8_t id[8];
    bool has_id;
    struct version *versions;
    size_t n_versions;
    struct { /* of one that is a namespace: its versions are the key's in it */
        uint64_t made_asked, made, removed_asked, removed;
    } life;
};

struct flight {
    struct thing *thing;
    size_t version;
    uint64_t *answered; /* or this */
    char expected;      /* the first byte of the reply */
};

struct worker {
    enum kind kind;
    unsigned number;
    struct client *client;
    struct thing *things;
    size_t n_things;
    struct flight flights[DEPTH];
    unsigned n_flights, step;
};

struct work {
    const struct server *server;
    uint64_t random, clock;
    uint32_t last_number;
    struct worker workers[WORKERS];
};

static uint8_t payload[LARGE + 16];

static size_t fill(uint32_t number)
{
    uint32_t state = number * 2654435761u + 1;
    size_t size = number % 16 == 3 ? LARGE : state % (number % 4 ? 300 : 6000);
    memcpy(payload, &number, sizeof number);
    for (size_t i = sizeof number; i < sizeof number + size; i++) {
        state = state * 1664525u + 1013904223u;
        payload[i] = (uint8_t)(state >> 24);
    }
    return sizeof number + size;
}

/* --- things ---------------------------------------------------------------------------------- */

static struct version *add_version(struct thing *thing, uint32_t number, uint64_t now)
{
    if (thing->n_versions % VERSIONS_STEP == 0) {
        thing->versions =
            realloc(thing->versions, (thing->n_versions + VERSIONS_STEP) * sizeof *thing->versions);
        assert_non_null(thing->versions);
    }
    thing->versions[thing->n_versions] = (struct version){.number = number, .asked = now};
    return &thing->versions[thing->n_versions++];
}

static bool lives(const struct thing *thing)
{
    return thing->n_versions > 0 && thing->versions[thing->n_versions - 1].number > 0;
}

static struct word key_of(const struct thing *thing)
{
    return thing->has_id ? (struct word){thing->id, 8} : word(thing->name);
}

static struct thing *new_thing(struct worker *worker)
{
    assert_true(worker->n_things < THINGS);
    return &worker->things[worker->n_things++];
}

static void forget_things(struct worker *worker)
{
    for (size_t i = 0; i < worker->n_things; i++)
        free(worker->things[i].versions);
    memset(worker->things, 0, THINGS * sizeof *worker->things);
    worker->n_things = 0;
}

/* --- requests -------------------------------------------------------------------------------- */

static void ask(struct worker *worker, const struct word *words, size_t n, struct flight flight)
{
    assert_true(worker->n_flights < DEPTH);
    worker->flights[worker->n_flights++] = flight;
    assert_true(client_send_words(worker->client, words, n));
}

static void ask_plain(struct worker *worker, const char *command)
{
    const struct word words[] = {word(command)};
    ask(worker, words, 1, (struct flight){.expected = '+'});
}

static void set(struct work *work, struct worker *worker, struct thing *thing, bool is_new_id)
{
    uint32_t number = ++work->last_number;
    size_t size = fill(number);
    const struct word words[] = {
        word("SET"), is_new_id ? word("") : key_of(thing), {payload, size}};
    (void)add_version(thing, number, ++work->clock);
    ask(worker, words, 3,
        (struct flight){.thing = thing, .version = thing->n_versions - 1, .expected = '$'});
}

static void delete (struct work *work, struct worker *worker, struct thing *thing)
{
    const struct word words[] = {word("DEL"), key_of(thing)};
    (void)add_version(thing, 0, ++work->clock);
    ask(worker, words, 2,
        (struct flight){.thing = thing, .version = thing->n_versions - 1, .expected = '+'});
}

static void change_key(struct work *work, struct worker *worker)
{
    struct thing *thing = &worker->things[dice(&work->random, KEYS)];
    if (worker->kind == KEYS_OF_BUSY && dice(&work->random, 25) == 0)
        ask_plain(worker, dice(&work->random, 3) ? "NSJUMP" : "COMPACT");
    else if (lives(thing) && dice(&work->random, 6) == 0)
        delete (work, worker, thing);
    else
        set(work, worker, thing, false);
}

static void change_id(struct work *work, struct worker *worker)
{
    struct thing *thing =
        worker->n_things ? &worker->things[dice(&work->random, worker->n_things)] : NULL;
    if (dice(&work->random, 50) == 0)
        ask_plain(worker, dice(&work->random, 3) ? "NSJUMP" : "COMPACT");
    else if (!thing || !thing->has_id || !lives(thing) || dice(&work->random, 3) == 0)
        set(work, worker, new_thing(worker), true);
    else if (dice(&work->random, 8) == 0)
        delete (work, worker, thing);
    else
        set(work, worker, thing, false);
}

/* Made, entered, written to, left; and one that was made before is removed. */
static void change_namespace(struct work *work, struct worker *worker)
{
    struct thing *thing = worker->step % 5 == 0 ? new_thing(worker) : NULL;
    if (thing)
        (void)snprintf(thing->name, sizeof thing->name, "n-%zu", worker->n_things);
    thing = &worker->things[worker->n_things - 1];
    const struct word made[] = {word("NSNEW"), word(thing->name)};
    const struct word entered[] = {word("SELECT"), word(thing->name)};
    const struct word left[] = {word("SELECT"), word("default")};
    uint32_t number = work->last_number + 1;
    size_t size = fill(number);
    const struct word written[] = {word("SET"), word("key"), {payload, size}};
    switch (worker->step++ % 5) {
    case 0:
        thing->life.made_asked = ++work->clock;
        ask(worker, made, 2, (struct flight){.answered = &thing->life.made, .expected = '+'});
        break;
    case 1:
        ask(worker, entered, 2, (struct flight){.expected = '+'});
        break;
    case 2:
        work->last_number = number;
        (void)add_version(thing, number, ++work->clock);
        ask(worker, written, 3, (struct flight){.thing = thing, .version = 0, .expected = '$'});
        break;
    case 3:
        ask(worker, left, 2, (struct flight){.expected = '+'});
        break;
    default:
        if (worker->n_things <= NAMESPACES_KEPT)
            break;
        thing = &worker->things[worker->n_things - 1 - NAMESPACES_KEPT];
        thing->life.removed_asked = ++work->clock;
        const struct word removed[] = {word("NSDEL"), word(thing->name)};
        ask(worker, removed, 2, (struct flight){.answered = &thing->life.removed, .expected = '+'});
    }
}

static void (*const changes[])(struct work *work, struct worker *worker) = {
    [KEYS_OF_DEFAULT] = change_key,
    [KEYS_OF_BUSY] = change_key,
    [IDS] = change_id,
    [NAMESPACES] = change_namespace,
};

/* --- replies --------------------------------------------------------------------------------- */

static void take_reply(struct work *work, struct worker *worker)
{
    size_t size;
    const uint8_t *reply = client_reply(worker->client, &size);
    struct flight flight = worker->flights[0];
    if (!reply || reply[0] != flight.expected) {
        server_print_log(work->server);
        fail_msg("worker %u expects %c and gets: %.*s", worker->number, flight.expected,
                 reply ? (int)size : 0, reply ? (const char *)reply : "");
    }
    worker->n_flights--;
    memmove(worker->flights, worker->flights + 1, worker->n_flights * sizeof flight);
    if (flight.answered)
        *flight.answered = ++work->clock;
    if (!flight.thing)
        return;
    flight.thing->versions[flight.version].answered = ++work->clock;
    if (worker->kind == IDS && flight.expected == '$' && !flight.thing->has_id) {
        assert_int_equal(size, 4 + 8 + 2);
        memcpy(flight.thing->id, reply + 4, 8);
        flight.thing->has_id = true;
    }
}

/* Those that have come whole. */
static unsigned take_replies(struct work *work, struct worker *worker)
{
    unsigned n = 0;
    while (worker->n_flights > 0) {
        size_t there = client_fill(worker->client, 1, 0);
        const uint8_t *at = worker->client->in + worker->client->taken;
        size_t size = there ? reply_size(at, there) : 0;
        if ((size == 0 || size > there) && !worker->client->ended)
            return n;
        take_reply(work, worker);
        n++;
    }
    return n;
}

static unsigned take_all(struct work *work)
{
    unsigned n = 0;
    for (size_t i = 0; i < WORKERS; i++)
        n += take_replies(work, &work->workers[i]);
    return n;
}

static void wait_for_replies(const struct work *work)
{
    struct pollfd fds[WORKERS];
    for (size_t i = 0; i < WORKERS; i++)
        fds[i] = (struct pollfd){.fd = work->workers[i].client->fd, .events = POLLIN};
    if (poll(fds, WORKERS, SERVER_WAIT_MS) == 0)
        fail_msg("the server answers nobody");
}

/* --- working --------------------------------------------------------------------------------- */

struct work *work_new(uint64_t seed)
{
    static const enum kind kinds[WORKERS] = {KEYS_OF_DEFAULT, KEYS_OF_DEFAULT, KEYS_OF_BUSY, IDS,
                                             NAMESPACES};
    struct work *work = calloc(1, sizeof *work);
    assert_non_null(work);
    work->random = seed;
    for (unsigned i = 0; i < WORKERS; i++) {
        work->workers[i] = (struct worker){.kind = kinds[i], .number = i};
        work->workers[i].things = calloc(THINGS, sizeof *work->workers[i].things);
        assert_non_null(work->workers[i].things);
    }
    return work;
}

void work_free(struct work *work)
{
    for (size_t i = 0; i < WORKERS; i++) {
        forget_things(&work->workers[i]);
        free(work->workers[i].things);
    }
    free(work);
}

static void must_answer(struct client *client, const char *name, const char *first,
                        const char *second, const char *third)
{
    size_t size;
    const struct word words[] = {word(name), word(first), word(second), word(third)};
    assert_true(client_send_words(client, words, third[0] ? 4 : 2));
    const uint8_t *reply = client_reply(client, &size);
    if (!reply || reply[0] != '+')
        fail_msg("%s %s: %.*s", name, first, reply ? (int)size : 0, (const char *)reply);
}

static void begin_worker(struct worker *worker, const struct server *server)
{
    worker->client = server_connect(server);
    worker->n_flights = worker->step = 0;
    forget_things(worker);
    if (worker->kind == KEYS_OF_BUSY || worker->kind == IDS) {
        const char *name = worker->kind == IDS ? "ids" : "busy";
        must_answer(worker->client, "NSNEW", name, "", "");
        if (worker->kind == IDS)
            must_answer(worker->client, "NSSET", name, "mode", "seq");
        must_answer(worker->client, "SELECT", name, "", "");
    }
    if (worker->kind != KEYS_OF_DEFAULT && worker->kind != KEYS_OF_BUSY)
        return;
    for (unsigned i = 0; i < KEYS; i++)
        (void)snprintf(new_thing(worker)->name, sizeof worker->things->name, "key-%u-%u",
                       worker->number, i);
}

void work_begin(struct work *work, const struct server *server)
{
    work->server = server;
    for (size_t i = 0; i < WORKERS; i++)
        begin_worker(&work->workers[i], server);
}

void work_go_on(struct work *work, unsigned n)
{
    for (unsigned done = 0; done < n;) {
        for (size_t i = 0; i < WORKERS; i++) {
            struct worker *worker = &work->workers[i];
            unsigned depth = worker->kind == NAMESPACES ? 1 : DEPTH;
            while (worker->n_flights < depth)
                changes[worker->kind](work, worker);
        }
        wait_for_replies(work);
        done += take_all(work);
    }
}

uint64_t work_stamp(struct work *work)
{
    (void)take_all(work);
    return ++work->clock;
}

void work_end(struct work *work)
{
    for (size_t i = 0; i < WORKERS; i++) {
        client_close(work->workers[i].client);
        work->workers[i].client = NULL;
    }
}

/* --- checking -------------------------------------------------------------------------------- */

struct check {
    const struct server *server;
    struct client *client;
    uint64_t before, after;
    struct work_sums *sums;
};

static bool was(uint64_t time, uint64_t before)
{
    return time > 0 && time < before;
}

static bool is_payload(const uint8_t *reply, size_t size, uint32_t number)
{
    char head[32];
    if (number == 0)
        return size == 5 && memcmp(reply, "$-1\r\n", 5) == 0;
    size_t length = fill(number), n = (size_t)snprintf(head, sizeof head, "$%zu\r\n", length);
    return size == n + length + 2 && memcmp(reply, head, n) == 0 &&
           memcmp(reply + n, payload, length) == 0;
}

static void select_ns(struct check *check, const char *name)
{
    must_answer(check->client, "SELECT", name, "", "");
}

static void explain(const struct check *check, const struct thing *thing, const uint8_t *reply,
                    size_t size)
{
    print_error("cut from %ju to %ju, reply %.*s\n", (uintmax_t)check->before,
                (uintmax_t)check->after, size < 60 ? (int)size : 60, (const char *)reply);
    for (size_t i = 0; i < thing->n_versions; i++)
        print_error("version %zu: asked %ju, answered %ju%s%s\n", i,
                    (uintmax_t)thing->versions[i].asked, (uintmax_t)thing->versions[i].answered,
                    thing->versions[i].number ? "" : ", deleted",
                    is_payload(reply, size, thing->versions[i].number) ? ", found" : "");
}

static void check_value(struct check *check, const struct thing *thing, struct word key)
{
    size_t size, first = 0, end = 0;
    bool may_lack = true, fits = false;
    for (size_t i = 0; i < thing->n_versions; i++) {
        if (was(thing->versions[i].answered, check->before)) {
            first = i;
            may_lack = false;
        }
        if (thing->versions[i].asked < check->after)
            end = i + 1;
    }
    const struct word words[] = {word("GET"), key};
    assert_true(client_send_words(check->client, words, 2));
    const uint8_t *reply = client_reply(check->client, &size);
    assert_non_null(reply);
    fits = may_lack && is_payload(reply, size, 0);
    for (size_t i = first; i < end && !fits; i++)
        fits = is_payload(reply, size, thing->versions[i].number);
    check->sums->n_checked++;
    check->sums->n_in_the_air += end > first + 1 || (may_lack && end > 0);
    if (fits)
        return;
    server_print_log(check->server);
    explain(check, thing, reply, size);
    fail_msg("%s%ju has not what it must have", thing->name, (uintmax_t)peer_u64(thing->id));
}

static bool is_listed(struct check *check, const char *name)
{
    char bulk[64];
    size_t size;
    const struct word words[] = {word("NSLIST")};
    assert_true(client_send_words(check->client, words, 1));
    const uint8_t *list = client_reply(check->client, &size);
    assert_non_null(list);
    (void)snprintf(bulk, sizeof bulk, "\n%s\r", name);
    return memmem(list, size, bulk, strlen(bulk)) != NULL;
}

static void check_namespace(struct check *check, const struct thing *thing)
{
    bool listed = is_listed(check, thing->name);
    bool must =
        was(thing->life.made, check->before) && !was(thing->life.removed_asked, check->after);
    bool may =
        was(thing->life.made_asked, check->after) && !was(thing->life.removed, check->before);
    check->sums->n_checked++;
    check->sums->n_in_the_air += may && !must;
    if ((must && !listed) || (listed && !may)) {
        server_print_log(check->server);
        fail_msg("%s %s there", thing->name, listed ? "is" : "is not");
    }
    if (!listed)
        return;
    select_ns(check, thing->name);
    check_value(check, thing, word("key"));
    select_ns(check, "default");
}

void work_check(struct work *work, const struct server *server, uint64_t before, uint64_t after,
                struct work_sums *sums)
{
    static const char *const names[] = {[KEYS_OF_DEFAULT] = "default",
                                        [KEYS_OF_BUSY] = "busy",
                                        [IDS] = "ids",
                                        [NAMESPACES] = "default"};
    struct check check = {.server = server, .before = before, .after = after, .sums = sums};
    check.client = server_connect(server);
    for (size_t i = 0; i < WORKERS; i++) {
        const struct worker *worker = &work->workers[i];
        select_ns(&check, names[worker->kind]);
        for (size_t k = 0; k < worker->n_things; k++) {
            const struct thing *thing = &worker->things[k];
            if (worker->kind == NAMESPACES)
                check_namespace(&check, thing);
            else if (worker->kind != IDS || thing->has_id)
                check_value(&check, thing, key_of(thing));
        }
    }
    client_close(check.client);
}
