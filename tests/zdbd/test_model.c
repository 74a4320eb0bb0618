/*
 * Random verbs on namespaces against a model of what was acknowledged, while zdbd, poold and the
 * 0-db are killed at random moments of them: asked again until it is answered, a verb has happened
 * once. Every few turns the node must have exactly what the model has, in its lists, in poold's
 * books and inside each namespace.
 */
#include "dice.h"
#include "zdbnode.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#define DISK_BYTES (1536 * MiB)

enum { SLOTS = 8, TURNS = 120, TURNS_A_LIFE = 20, KILL_WITHIN_US = 30000, POOLS = 2 };

struct slot {
    char id[40]; /* "" when it is free */
    uint64_t size_bytes;
    bool sequential, public, locked, frozen;
    unsigned password, written;
};

struct model {
    struct node *node;
    struct slot slots[SLOTS];
    uint64_t random;
};

/* ---- who dies ---- */

struct killer {
    pthread_t thread;
    pid_t victim; /* 0: nobody */
    long after_us;
};

static void *kill_later(void *data)
{
    const struct killer *killer = data;
    const struct timespec moment = {.tv_nsec = killer->after_us * 1000};
    (void)nanosleep(&moment, NULL);
    (void)kill(killer->victim, SIGKILL);
    return NULL;
}

static Storage__V1__ZDBListReply *list_instances(struct node *node)
{
    autoerr struct err err = {0};
    Storage__V1__ZDBListReply *list = NULL;
    Storage__V1__ZDBListRequest request = STORAGE__V1__ZDBLIST_REQUEST__INIT;
    assert_ok(storage_call(node->storage, "storage.v1.ZDBService/List", &request, &list, &err),
              &err);
    return list;
}

/* Of one that runs: a worker, or the 0-db of any pool. */
static pid_t pick_victim(struct model *model)
{
    static const char *const workers[] = {"zdbd", "poold"};
    size_t which = dice(&model->random, array_length(workers) + 1);
    if (which < array_length(workers))
        return node_wait_worker(model->node, workers[which], 0).pid;
    autoreply Storage__V1__ZDBListReply *list = list_instances(model->node);
    return list->n_instances > 0
               ? (pid_t)list->instances[dice(&model->random, list->n_instances)]->pid
               : 0;
}

static void killer_start(struct killer *killer, struct model *model)
{
    *killer = (struct killer){0};
    if (dice(&model->random, 3) == 0)
        killer->victim = pick_victim(model);
    killer->after_us = (long)dice(&model->random, KILL_WITHIN_US);
    if (killer->victim > 0)
        assert_int_equal(pthread_create(&killer->thread, NULL, kill_later, killer), 0);
}

static bool is_forgotten(struct node *node, void *victim)
{
    autoreply Storage__V1__ZDBListReply *list = list_instances(node);
    for (size_t i = 0; i < list->n_instances; i++)
        if ((pid_t)list->instances[i]->pid == *(pid_t *)victim)
            return false;
    return true;
}

/* It is dead, and zdbd knows: what it says to be live from here on can be entered. */
static void killer_end(struct killer *killer, struct model *model)
{
    if (killer->victim == 0)
        return;
    assert_int_equal(pthread_join(killer->thread, NULL), 0);
    process_wait_gone(killer->victim);
    node_wait(model->node, is_forgotten, &killer->victim, "zdbd has seen that its 0-db died");
}

/* ---- calls ---- */

/* Asked again for as long as nobody can answer. */
static int call_until_answered(struct model *model, const char *verb,
                               const ProtobufCMessage *request, void *out_reply, struct err *err)
{
    struct killer killer;
    autofree char *method = path_format("storage.v1.NamespaceService/%s", verb);
    uint64_t deadline = clock_monotonic_ms() + HARNESS_WAIT_MS;
    int rc;
    killer_start(&killer, model);
    while ((rc = storage_call(model->node->storage, method, request, out_reply, err)) < 0 &&
           err->retryable && clock_monotonic_ms() < deadline) {
        (void)poll(NULL, 0, (int)err->retry_after_ms); /* as we were told */
        err_clear(err);
    }
    killer_end(&killer, model);
    return rc;
}

static char *password_of(unsigned number)
{
    return path_format("password %u", number);
}

static void reserve(struct model *model, size_t number)
{
    struct slot *slot = &model->slots[number];
    autofree char *name = path_format("slot-%zu", number);
    autofree char *password = password_of(0);
    struct slot made = {
        .size_bytes = *slot->id ? slot->size_bytes : (1 + dice(&model->random, 400)) * MiB,
        .sequential = *slot->id ? slot->sequential : dice(&model->random, 2),
        .public = *slot->id ? slot->public : dice(&model->random, 2),
    };
    Storage__V1__NamespaceReserveRequest request = zdbnode_request(name, made.size_bytes);
    request.mode = made.sequential ? MODE(SEQUENTIAL) : MODE(USER);
    request.public_ = made.public;
    request.password = (ProtobufCBinaryData){strlen(password), (uint8_t *)password};
    autoerr struct err err = {0};
    autoreply Storage__V1__ZDBNamespace *space = NULL;
    int rc = call_until_answered(model, "Reserve", &request.base, &space, &err);
    if (*slot->id) {
        assert_ok(rc, &err);
        assert_string_equal(space->id, slot->id);
        return;
    }
    if (rc == -ERR_RESOURCE_EXHAUSTED)
        return;
    assert_ok(rc, &err);
    (void)snprintf(made.id, sizeof made.id, "%s", space->id);
    *slot = made;
}

static void release(struct model *model, struct slot *slot)
{
    Storage__V1__NamespaceReleaseRequest request = STORAGE__V1__NAMESPACE_RELEASE_REQUEST__INIT;
    autoerr struct err err = {0};
    autoreply Storage__V1__NamespaceReleaseReply *reply = NULL;
    request.id = slot->id;
    assert_ok(call_until_answered(model, "Release", &request.base, &reply, &err), &err);
    *slot = (struct slot){0};
}

static void resize(struct model *model, struct slot *slot)
{
    Storage__V1__NamespaceResizeRequest request = STORAGE__V1__NAMESPACE_RESIZE_REQUEST__INIT;
    autoerr struct err err = {0};
    autoreply Storage__V1__ZDBNamespace *space = NULL;
    request.id = slot->id;
    request.size_bytes = (1 + dice(&model->random, 400)) * MiB;
    int rc = call_until_answered(model, "Resize", &request.base, &space, &err);
    if (rc == -ERR_RESOURCE_EXHAUSTED)
        return;
    assert_ok(rc, &err);
    slot->size_bytes = request.size_bytes;
}

static void set_password(struct model *model, struct slot *slot)
{
    Storage__V1__NamespaceSetPasswordRequest request =
        STORAGE__V1__NAMESPACE_SET_PASSWORD_REQUEST__INIT;
    autoerr struct err err = {0};
    autoreply Storage__V1__ZDBNamespace *space = NULL;
    autofree char *password = password_of(slot->password + 1);
    request.id = slot->id;
    request.password = (ProtobufCBinaryData){strlen(password), (uint8_t *)password};
    assert_ok(call_until_answered(model, "SetPassword", &request.base, &space, &err), &err);
    slot->password++;
}

static void set_public(struct model *model, struct slot *slot)
{
    Storage__V1__NamespaceSetPublicRequest request =
        STORAGE__V1__NAMESPACE_SET_PUBLIC_REQUEST__INIT;
    autoerr struct err err = {0};
    autoreply Storage__V1__ZDBNamespace *space = NULL;
    request.id = slot->id;
    request.public_ = !slot->public;
    assert_ok(call_until_answered(model, "SetPublic", &request.base, &space, &err), &err);
    slot->public = request.public_;
}

static void set_lock(struct model *model, struct slot *slot)
{
    Storage__V1__NamespaceLockRequest request = STORAGE__V1__NAMESPACE_LOCK_REQUEST__INIT;
    autoerr struct err err = {0};
    autoreply Storage__V1__ZDBNamespace *space = NULL;
    request.id = slot->id;
    request.locked = !slot->locked;
    assert_ok(call_until_answered(model, "Lock", &request.base, &space, &err), &err);
    slot->locked = request.locked;
}

static void set_freeze(struct model *model, struct slot *slot)
{
    Storage__V1__NamespaceFreezeRequest request = STORAGE__V1__NAMESPACE_FREEZE_REQUEST__INIT;
    autoerr struct err err = {0};
    autoreply Storage__V1__ZDBNamespace *space = NULL;
    request.id = slot->id;
    request.frozen = !slot->frozen;
    assert_ok(call_until_answered(model, "Freeze", &request.base, &space, &err), &err);
    slot->frozen = request.frozen;
}

/* ---- inside ---- */

static struct client *enter(struct model *model, const struct slot *slot)
{
    zdbnode_wait_namespace(model->node, slot->id, NAMESPACE(LIVE));
    autoreply Storage__V1__ZDBNamespace *space = zdbnode_get(model->node, slot->id);
    autofree char *password = password_of(slot->password);
    return zdbnode_enter(space, password);
}

static void must_refuse(struct client *client, const struct word *words, size_t n, const char *text)
{
    size_t size = 0;
    assert_true(client_send_words(client, words, n));
    const uint8_t *reply = client_reply(client, &size);
    assert_non_null(reply);
    if (size < strlen(text) || memcmp(reply, text, strlen(text)) != 0)
        fail_msg("the 0-db answers %.*s, not %s", (int)size, reply, text);
}

static void write_next(struct model *model, struct slot *slot)
{
    const struct word set[] = {word("SET"), word("key"), word("none")};
    struct client *client = enter(model, slot);
    if (slot->frozen)
        must_refuse(client, set, array_length(set), "-Namespace is temporarily frozen");
    else if (slot->locked)
        must_refuse(client, set, array_length(set), "-Namespace is temporarily locked");
    else if (!slot->sequential) {
        autofree char *value = path_format("value %u", slot->written + 1);
        zdbnode_set(client, "key", value);
        slot->written++;
    }
    client_close(client);
}

static void compare_inside(struct model *model, const struct slot *slot)
{
    struct client *client = enter(model, slot);
    autofree char *value = path_format("value %u", slot->written);
    if (!slot->sequential && !slot->frozen)
        zdbnode_must_get(client, "key", slot->written > 0 ? value : NULL);
    client_close(client);
    if (slot->password == 0 || slot->public)
        return;
    autoreply Storage__V1__ZDBNamespace *space = zdbnode_get(model->node, slot->id);
    autofree char *old = password_of(slot->password - 1);
    const struct word select[] = {word("SELECT"), word(slot->id), word(old)};
    client = client_open_tcp((uint16_t)space->port);
    must_refuse(client, select, array_length(select), "-Access denied");
    client_close(client);
}

/* ---- the whole node ---- */

static size_t compare_lists(struct model *model)
{
    autoreply Storage__V1__NamespaceListReply *list = zdbnode_list(model->node);
    for (size_t i = 0; i < list->n_namespaces; i++) {
        const Storage__V1__ZDBNamespace *space = list->namespaces[i];
        size_t number = SLOTS;
        assert_int_equal(sscanf(space->name, "slot-%zu", &number), 1);
        assert_true(number < SLOTS);
        const struct slot *slot = &model->slots[number];
        assert_string_equal(space->id, slot->id);
        assert_int_equal(space->size_bytes, slot->size_bytes);
        assert_int_equal(space->mode, slot->sequential ? MODE(SEQUENTIAL) : MODE(USER));
        assert_int_equal(space->public_, slot->public);
        assert_int_equal(space->locked, slot->locked);
        assert_int_equal(space->frozen, slot->frozen);
    }
    return list->n_namespaces;
}

static bool nothing_is_undone(struct node *node, void *data)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__ListBookingsReply *bookings = NULL;
    assert_ok(call_bookings(node->storage, &bookings, &err), &err);
    return bookings->n_bookings == *(size_t *)data;
}

static void compare(struct model *model)
{
    size_t n = 0;
    for (size_t i = 0; i < SLOTS; i++)
        n += *model->slots[i].id != '\0';
    zdbnode_wait_all_live(model->node, n);
    node_wait(model->node, nothing_is_undone, &n, "nothing is left of what failed");
    assert_int_equal(compare_lists(model), n);
    zdbnode_must_balance(model->node, n);
    for (size_t i = 0; i < SLOTS; i++)
        if (*model->slots[i].id)
            compare_inside(model, &model->slots[i]);
}

static void restart(struct model *model)
{
    autoerr struct err err = {0};
    switch (dice(&model->random, 4)) {
    case 0:
        node_kill(model->node);
        break;
    case 1:
        node_stop(model->node);
        break;
    case 2:
        assert_ok(node_shutdown(model->node, &err), &err);
        break;
    default:
        return;
    }
    node_start(model->node);
}

static void turn(struct model *model)
{
    static void (*const verbs[])(struct model *, struct slot *) = {
        release, resize, set_password, set_public, set_lock, set_freeze, write_next, write_next,
    };
    size_t number = dice(&model->random, SLOTS);
    struct slot *slot = &model->slots[number];
    size_t verb = dice(&model->random, array_length(verbs) + 1);
    if (!*slot->id || verb == array_length(verbs))
        reserve(model, number);
    else
        verbs[verb](model, slot);
}

/* STORAGED_TEST_TURNS makes it longer, STORAGED_TEST_SEED makes the same choices again. */
static void random_verbs_do_what_the_model_does(void)
{
    struct disk *disks[POOLS + 1] = {0};
    for (size_t i = 0; i < POOLS; i++)
        disks[i] = disk_create(DISK_BYTES, DISK_SSD);
    struct model model = {.node = zdbnode_create_list(disks)};
    node_set(model.node, "supervisor.healthy_ms", "1"); /* a death is nothing to wait for */
    node_set(model.node, "supervisor.backoff_min_ms", "1");
    node_set(model.node, "supervisor.backoff_max_ms", "20");
    zdbnode_start_pools(model.node, disks);
    model.random = dice_seed();
    unsigned long turns = number_from_environment("STORAGED_TEST_TURNS", TURNS);
    for (unsigned long i = 1; i <= turns; i++) {
        turn(&model);
        if (i % TURNS_A_LIFE == 0) {
            compare(&model);
            restart(&model);
        }
    }
    compare(&model);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(random_verbs_do_what_the_model_does),
    };
    return harness_main(argc, argv, "zdbd model", cases, array_length(cases));
}
