/*
 * Random verbs against a model: a table of what was acknowledged, and the sum of its limits. After
 * every restart, of any kind, the node must have exactly that; and each Reserve is granted, put off
 * or refused by what the sum leaves.
 */
#include "dice.h"
#include "poolnode.h"

#include <fcntl.h>
#include <stdio.h>

#define DISK_SIZE (1536 * MiB)

enum { SLOTS = 12, TURNS = 160, TURNS_A_LIFE = 40 };

struct slot {
    char id[40]; /* "" when it is free */
    char old[40];
    uint64_t size_bytes, limit_bytes;
};

struct model {
    struct node *node;
    uint64_t usable_bytes, base_bytes, headroom_bytes;
    struct slot slots[SLOTS];
    uint64_t random;
};

static uint64_t model_booked(const struct model *model)
{
    uint64_t sum = model->base_bytes;
    for (size_t i = 0; i < SLOTS; i++)
        sum += model->slots[i].limit_bytes;
    return sum;
}

static size_t model_count(const struct model *model)
{
    size_t n = 0;
    for (size_t i = 0; i < SLOTS; i++)
        n += *model->slots[i].id != '\0';
    return n;
}

static char *slot_name(size_t slot)
{
    return path_format("slot-%zu", slot);
}

static void tag(const Storage__V1__Space *space)
{
    autofree char *path = path_format("%s/tag", space->path);
    file_write(path, space->id, strlen(space->id));
    autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fsync(fd), 0);
}

static void reserve_new(struct model *model, size_t slot)
{
    struct slot *to = &model->slots[slot];
    uint64_t size = (1 + dice(&model->random, 200)) * MiB + dice(&model->random, 3) * 4096;
    uint64_t limit = size + (size < model->headroom_bytes ? size : model->headroom_bytes);
    uint64_t room = model->usable_bytes - model_booked(model);
    autofree char *name = slot_name(slot);
    autoerr struct err err = {0};
    autoreply Storage__V1__Space *space = NULL;
    if (call_reserve(model->node->storage, name, SSD, size, &space, &err) == 0) {
        assert_true(limit <= room);
        assert_true(space->created);
        assert_int_equal(space->limit_bytes, limit);
        assert_string_not_equal(space->id, to->old);
        (void)snprintf(to->id, sizeof to->id, "%s", space->id);
        to->size_bytes = size;
        to->limit_bytes = limit;
        tag(space);
        return;
    }
    /* What only waits for the reaper is told from what does not fit. */
    assert_int_equal(err.code, ERR_RESOURCE_EXHAUSTED);
    assert_true(err.retryable == (limit <= room));
}

static void reserve_again(struct model *model, size_t slot)
{
    const struct slot *has = &model->slots[slot];
    uint64_t more = dice(&model->random, 2) * 4096;
    autofree char *name = slot_name(slot);
    autoerr struct err err = {0};
    autoreply Storage__V1__Space *space = NULL;
    int rc = call_reserve(model->node->storage, name, SSD, has->size_bytes + more, &space, &err);
    if (more > 0) {
        assert_refused(rc, &err, ERR_ALREADY_EXISTS, "size");
        return;
    }
    assert_ok(rc, &err);
    assert_false(space->created);
    assert_string_equal(space->id, has->id);
}

static void release(struct model *model, size_t slot)
{
    struct slot *has = &model->slots[slot];
    bool existed = false;
    autoerr struct err err = {0};
    assert_ok(call_release(model->node->storage, has->id, &existed, &err), &err);
    assert_true(existed);
    *has = (struct slot){0};
}

static void release_and_look(struct model *model, size_t slot)
{
    char id[40];
    bool existed = true;
    autoerr struct err err = {0};
    Storage__V1__Space *none = NULL;
    memcpy(id, model->slots[slot].id, sizeof id);
    release(model, slot);
    memcpy(model->slots[slot].old, id, sizeof id);
    assert_refused(call_get(model->node->storage, id, &none, &err), &err, ERR_NOT_FOUND, "");
    assert_ok(call_release(model->node->storage, id, &existed, &err), &err);
    assert_false(existed);
}

static void compare(struct model *model)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__SpaceListReply *list = NULL;
    assert_ok(call_spaces(model->node->storage, &list, &err), &err);
    assert_int_equal(list->n_spaces, model_count(model));
    for (size_t i = 0; i < list->n_spaces; i++) {
        const Storage__V1__Space *space = list->spaces[i];
        size_t slot = SLOTS;
        assert_int_equal(sscanf(space->name, "slot-%zu", &slot), 1);
        assert_true(slot < SLOTS);
        assert_string_equal(space->id, model->slots[slot].id);
        assert_int_equal(space->size_bytes, model->slots[slot].size_bytes);
        assert_int_equal(space->limit_bytes, model->slots[slot].limit_bytes);
        autofree char *path = path_format("%s/tag", space->path);
        autofree char *text = file_read(path, NULL);
        assert_string_equal(text, space->id);
    }
    Storage__V1__PoolCapacity capacity = poolnode_capacity(model->node);
    assert_int_equal(capacity.usable, model->usable_bytes);
    assert_int_equal(capacity.booked - capacity.releasing, model_booked(model));
    assert_true(capacity.booked <= capacity.usable);
}

static void restart(struct model *model)
{
    struct node *node = model->node;
    autoerr struct err err = {0};
    switch (dice(&model->random, 4)) {
    case 0:
        node_kill(node);
        node_start(node);
        break;
    case 1:
        node_stop(node);
        node_start(node);
        break;
    case 2:
        assert_ok(node_shutdown(node, &err), &err);
        node_start(node);
        break;
    default:
        poolnode_kill_poold(node);
    }
    node_wait_cache(node, true);
}

static void turn(struct model *model)
{
    size_t slot = dice(&model->random, SLOTS);
    bool taken = *model->slots[slot].id;
    if (!taken)
        reserve_new(model, slot);
    else if (dice(&model->random, 3) == 0)
        reserve_again(model, slot);
    else if (dice(&model->random, 4) == 0)
        release_and_look(model, slot);
    else
        release(model, slot);
}

/* STORAGED_TEST_TURNS makes it longer, STORAGED_TEST_SEED makes it go as it once went. */
static void random_verbs_do_what_the_model_does(void)
{
    struct node *node = node_create(disk_create(DISK_SIZE, DISK_SSD));
    struct model model = {.node = node, .headroom_bytes = 32 * MiB};
    node_set(node, "spaces.headroom", "32M");
    node_start(node);
    node_wait_cache(node, true);
    Storage__V1__PoolCapacity capacity = poolnode_capacity(node);
    model.usable_bytes = capacity.usable;
    model.base_bytes = capacity.booked;
    model.random = dice_seed();
    unsigned long turns = number_from_environment("STORAGED_TEST_TURNS", TURNS);
    for (unsigned long i = 1; i <= turns; i++) {
        turn(&model);
        if (i % TURNS_A_LIFE == 0) {
            restart(&model);
            compare(&model);
        }
    }
    poolnode_wait_reaped(node);
    assert_int_equal(poolnode_capacity(node).booked, model_booked(&model));
    poolnode_must_balance(node);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(random_verbs_do_what_the_model_does),
    };
    return harness_main(argc, argv, "model", cases, array_length(cases));
}
