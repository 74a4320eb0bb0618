/* The index: three orders over the same spaces. A space without a name is not in by_name, one with
 * a name is not in by_request: its name is its key. */
#include "index.h"

#include <assert.h>
#include <string.h>

static const struct space *as_space(const void *item)
{
    return item;
}

/* Someone who copies a disk makes two spaces of one id: then their addresses tell them apart. */
static int compare_ids(const void *a, const void *b)
{
    int order = strcmp(as_space(a)->record.id, as_space(b)->record.id);
    return order ? order : (a > b) - (a < b);
}

static int compare_names(const void *a, const void *b)
{
    int order = strcmp(as_space(a)->record.name, as_space(b)->record.name);
    return order ? order : compare_ids(a, b);
}

static int compare_keys(const struct record *a, uint32_t uid, const char *request_id)
{
    if (a->request_uid != uid)
        return a->request_uid < uid ? -1 : 1;
    return strcmp(a->request_id, request_id);
}

static int compare_requests(const void *a, const void *b)
{
    const struct record *key = &as_space(b)->record;
    int order = compare_keys(&as_space(a)->record, key->request_uid, key->request_id);
    return order ? order : compare_ids(a, b);
}

static int match_id(const void *item, const void *key)
{
    return strcmp(as_space(item)->record.id, key);
}

/* Stands before the key when its id is the key or less. */
static int match_after(const void *item, const void *key)
{
    return match_id(item, key) <= 0 ? -1 : 1;
}

static int match_name(const void *item, const void *key)
{
    return strcmp(as_space(item)->record.name, key);
}

struct request_key {
    uint32_t uid;
    const char *request_id;
};

static int match_request(const void *item, const void *key)
{
    const struct request_key *wanted = key;
    return compare_keys(&as_space(item)->record, wanted->uid, wanted->request_id);
}

void index_init(struct index *index)
{
    order_init(&index->by_id, compare_ids);
    order_init(&index->by_name, compare_names);
    order_init(&index->by_request, compare_requests);
}

void index_free(struct index *index)
{
    assert(order_count(&index->by_id) == 0);
    order_free(&index->by_id);
    order_free(&index->by_name);
    order_free(&index->by_request);
}

/* The second order that the space is in; NULL if it has neither key. */
static struct order *second_order(struct index *index, const struct space *space)
{
    if (space->record.name[0])
        return &index->by_name;
    return space->record.request_id[0] ? &index->by_request : NULL;
}

int index_add(struct index *index, struct space *space)
{
    struct order *second = second_order(index, space);
    if (order_add(&index->by_id, space) < 0)
        return -ERR_RESOURCE_EXHAUSTED;
    if (second && order_add(second, space) < 0) {
        order_remove(&index->by_id, space);
        return -ERR_RESOURCE_EXHAUSTED;
    }
    return 0;
}

void index_remove(struct index *index, struct space *space)
{
    struct order *second = second_order(index, space);
    order_remove(&index->by_id, space);
    if (second)
        order_remove(second, space);
}

size_t index_count(const struct index *index)
{
    return order_count(&index->by_id);
}

struct space *index_find_id(struct index *index, const char *id)
{
    return order_find(&index->by_id, match_id, id);
}

struct space *index_find_name(struct index *index, const char *name)
{
    return order_find(&index->by_name, match_name, name);
}

struct space *index_find_request(struct index *index, uint32_t uid, const char *request_id)
{
    return order_find(&index->by_request, match_request, &(struct request_key){uid, request_id});
}

size_t index_after(struct index *index, const char *id)
{
    return order_seek(&index->by_id, match_after, id);
}

struct space *index_at(struct index *index, size_t position)
{
    return order_at(&index->by_id, position);
}
