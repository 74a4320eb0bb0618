/*
 * See the header. A client fails by its `trouble`, for cmocka's asserts belong to the main thread.
 * Half of them leave it to their handle to wait for a worker that is down; the others see each
 * UNAVAILABLE, and come back when it says so.
 */
#include "storm.h"

#include "dice.h"
#include "poolnode.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

enum { CALL_MS = 10000, AGAIN_MS_MAX = 50 };

static int trouble(struct storm_client *client, const struct storm_space *slot, const char *what,
                   const struct err *err)
{
    (void)snprintf(client->trouble, sizeof client->trouble, "client %u, %s (%s): %s%s%s",
                   client->number, slot ? slot->key : "", slot ? slot->id : "", what,
                   err ? ": " : "", err ? err->message : "");
    *client->stop = true;
    return -1;
}

/* ---- calls that are made until they are answered ---- */

struct attempt {
    struct err err;
    unsigned n;
    uint64_t start_ms;
};

static bool is_passing(const struct err *err)
{
    return err->code == ERR_UNAVAILABLE || err->code == ERR_DEADLINE_EXCEEDED ||
           err->code == ERR_ABORTED || (err->code == ERR_RESOURCE_EXHAUSTED && err->retryable);
}

/* Whether to make the call again, when it may have come to life again. */
static bool try_again(struct storm_client *client, struct attempt *attempt)
{
    if (!is_passing(&attempt->err) ||
        clock_monotonic_ms() > attempt->start_ms + (uint64_t)HARNESS_WAIT_MS)
        return false;
    uint32_t after_ms = attempt->err.retry_after_ms;
    (void)poll(NULL, 0, after_ms < AGAIN_MS_MAX ? (int)after_ms : AGAIN_MS_MAX);
    err_clear(&attempt->err);
    attempt->n++;
    client->again++;
    return true;
}

static void attempt_begin(struct attempt *attempt)
{
    *attempt = (struct attempt){.n = 1, .start_ms = clock_monotonic_ms()};
}

static void attempt_end(struct storm_client *client, struct attempt *attempt)
{
    uint64_t took_ms = clock_monotonic_ms() - attempt->start_ms;
    client->longest_ms = took_ms > client->longest_ms ? took_ms : client->longest_ms;
    err_clear(&attempt->err);
}

/* ---- the verbs ---- */

static int reserve_once(struct storage *storage, const struct storm_space *slot,
                        Storage__V1__Space **out_space, struct err *err)
{
    int rc = slot->named ? 0 : storage_set_request_id(storage, slot->key, err);
    return rc < 0 ? rc
                  : call_reserve(storage, slot->named ? slot->key : NULL, SSD, slot->size_bytes,
                                 out_space, err);
}

static int reserve_until_answered(struct storm_client *client, const struct storm_space *slot,
                                  Storage__V1__Space **out_space, bool *out_at_once)
{
    struct attempt attempt;
    int rc;
    attempt_begin(&attempt);
    do
        rc = reserve_once(client->storage, slot, out_space, &attempt.err);
    while (rc != 0 && try_again(client, &attempt));
    if (rc != 0)
        rc = trouble(client, slot, "Reserve", &attempt.err);
    *out_at_once = attempt.n == 1 && !client->waits;
    attempt_end(client, &attempt);
    return rc;
}

/* What anybody can see of a space that is whole. */
static bool is_whole(const Storage__V1__Space *space, const struct storm_space *slot)
{
    return space->size_bytes == slot->size_bytes && space->limit_bytes == slot->size_bytes &&
           space->disk_type == SSD && *space->path && *space->pool &&
           strcmp(space->name, slot->named ? slot->key : "") == 0;
}

static int write_tag(struct storm_client *client, const struct storm_space *slot, const char *path)
{
    char name[HARNESS_PATH_MAX];
    (void)snprintf(name, sizeof name, "%s/tag", path);
    FILE *file = fopen(name, "we");
    if (!file || fputs(slot->id, file) < 0 || fclose(file) != 0)
        return trouble(client, slot, "its folder cannot be written to", NULL);
    return 0;
}

static int reserve(struct storm_client *client, struct storm_space *slot)
{
    autoreply Storage__V1__Space *space = NULL;
    bool at_once;
    slot->named = dice(&client->random, 2);
    slot->size_bytes = (1 + dice(&client->random, 16)) * MiB;
    (void)snprintf(slot->key, sizeof slot->key, "storm-%u-%u", client->number, client->serial++);
    if (reserve_until_answered(client, slot, &space, &at_once) != 0)
        return -1;
    (void)snprintf(slot->id, sizeof slot->id, "%s", space->id);
    if (!is_whole(space, slot))
        return trouble(client, slot, "what Reserve made is not what was asked for", NULL);
    if (at_once && !space->created)
        return trouble(client, slot, "Reserve found what nobody had made", NULL);
    client->reserved++;
    return write_tag(client, slot, space->path);
}

static int reserve_again(struct storm_client *client, struct storm_space *slot)
{
    autoreply Storage__V1__Space *space = NULL;
    bool at_once;
    if (reserve_until_answered(client, slot, &space, &at_once) != 0)
        return -1;
    if (strcmp(space->id, slot->id) != 0)
        return trouble(client, slot, "Reserve made it twice", NULL);
    return 0;
}

/* NOT_FOUND is an answer too: *out_there tells. */
static int get(struct storm_client *client, const struct storm_space *slot, bool *out_there)
{
    struct attempt attempt;
    autoreply Storage__V1__Space *space = NULL;
    int rc;
    attempt_begin(&attempt);
    do
        rc = call_get(client->storage, slot->id, &space, &attempt.err);
    while (rc != 0 && try_again(client, &attempt));
    *out_there = rc == 0;
    if (rc == 0 && !is_whole(space, slot))
        rc = trouble(client, slot, "Get shows another space", NULL);
    else if (rc == -ERR_NOT_FOUND)
        rc = 0;
    else if (rc != 0)
        rc = trouble(client, slot, "Get", &attempt.err);
    client->gets++;
    attempt_end(client, &attempt);
    return rc;
}

static int get_must(struct storm_client *client, const struct storm_space *slot, bool there)
{
    bool is_there = !there;
    if (get(client, slot, &is_there) != 0)
        return -1;
    if (is_there != there)
        return trouble(client, slot,
                       there ? "it was acknowledged, and is not there any more"
                             : "it was released, and is still there",
                       NULL);
    return 0;
}

static int release(struct storm_client *client, struct storm_space *slot)
{
    struct attempt attempt;
    bool existed = false;
    int rc;
    attempt_begin(&attempt);
    do
        rc = call_release(client->storage, slot->id, &existed, &attempt.err);
    while (rc != 0 && try_again(client, &attempt));
    if (rc != 0)
        rc = trouble(client, slot, "Release", &attempt.err);
    else if (!existed && attempt.n == 1 && !client->waits)
        rc = trouble(client, slot, "Release did not find it", NULL);
    attempt_end(client, &attempt);
    client->released++;
    if (rc != 0 || get_must(client, slot, false) != 0)
        return -1;
    *slot = (struct storm_space){0};
    return 0;
}

/* ---- List ---- */

static int list_until_answered(struct storm_client *client, const char *page_token,
                               Storage__V1__SpaceListReply **out_list)
{
    Storage__V1__SpaceListRequest request = STORAGE__V1__SPACE_LIST_REQUEST__INIT;
    struct attempt attempt;
    int rc;
    request.page_size = 16;
    request.page_token = (char *)(uintptr_t)page_token;
    attempt_begin(&attempt);
    do
        rc = storage_call(client->storage, "storage.v1.SpaceService/List", &request, out_list,
                          &attempt.err);
    while (rc != 0 && try_again(client, &attempt));
    if (rc != 0)
        rc = trouble(client, NULL, "List", &attempt.err);
    attempt_end(client, &attempt);
    return rc;
}

/* Mine, and no other of mine: who lists changes nothing meanwhile. */
static int check_listed(struct storm_client *client, const Storage__V1__Space *space,
                        bool seen[static STORM_SLOTS])
{
    unsigned number, serial;
    for (size_t i = 0; i < STORM_SLOTS; i++) {
        const struct storm_space *slot = &client->slots[i];
        if (strcmp(slot->id, space->id) != 0)
            continue;
        seen[i] = true;
        return is_whole(space, slot) ? 0 : trouble(client, slot, "List shows it torn", NULL);
    }
    if (sscanf(space->name, "storm-%u-%u", &number, &serial) == 2 && number == client->number)
        return trouble(client, NULL, "List shows a space of mine that is none", NULL);
    if (space->limit_bytes != space->size_bytes || space->size_bytes == 0 || !*space->path)
        return trouble(client, NULL, "List shows what is half-made", NULL);
    return 0;
}

static int list(struct storm_client *client)
{
    bool seen[STORM_SLOTS] = {false}, more = true;
    char page_token[40] = "";
    while (more) {
        autoreply Storage__V1__SpaceListReply *page = NULL;
        if (list_until_answered(client, page_token, &page) != 0)
            return -1;
        for (size_t i = 0; i < page->n_spaces; i++)
            if (check_listed(client, page->spaces[i], seen) != 0)
                return -1;
        (void)snprintf(page_token, sizeof page_token, "%s", page->next_page_token);
        more = *page_token;
    }
    client->lists++;
    for (size_t i = 0; i < STORM_SLOTS; i++)
        if (*client->slots[i].id && !seen[i])
            return trouble(client, &client->slots[i], "List lacks it", NULL);
    return 0;
}

/* ---- a life ---- */

static int turn(struct storm_client *client)
{
    struct storm_space *slot = &client->slots[dice(&client->random, STORM_SLOTS)];
    if (!*slot->id)
        return reserve(client, slot);
    switch (dice(&client->random, 8)) {
    case 0:
        return list(client);
    case 1:
        return reserve_again(client, slot);
    case 2:
    case 3:
        return get_must(client, slot, true);
    default:
        return release(client, slot);
    }
}

static void *run(void *data)
{
    struct storm_client *client = data;
    while (!*client->stop && turn(client) == 0)
        ;
    return NULL;
}

void storm_client_start(struct storm_client *client, const struct node *node)
{
    client->waits = client->number % 2 == 0;
    const struct storage_options options = {
        .run_dir = node->run_dir, .timeout_ms = CALL_MS, .wait = client->waits};
    autoerr struct err err = {0};
    assert_ok(storage_open(&options, &client->storage, &err), &err);
    assert_int_equal(pthread_create(&client->thread, NULL, run, client), 0);
}

void storm_client_join(struct storm_client *client)
{
    assert_int_equal(pthread_join(client->thread, NULL), 0);
    storage_close(client->storage);
}

void storm_find_again(struct storage *storage, const struct storm_space *slot)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__Space *space = NULL;
    assert_ok(reserve_once(storage, slot, &space, &err), &err);
    assert_string_equal(space->id, slot->id);
    assert_false(space->created);
    assert_true(is_whole(space, slot));
    autofree char *path = path_format("%s/tag", space->path);
    autofree char *tag = file_read(path, NULL);
    assert_string_equal(tag, slot->id);
}
