/*
 * The order. items[0 .. n_sorted) is sorted; what was added since stands behind it and is sorted
 * and merged by settle(), which everything that looks calls first.
 */
#include "order.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_FIRST = 64 };

void order_init(struct order *order, order_compare compare)
{
    *order = (struct order){.compare = compare};
}

void order_free(struct order *order)
{
    free(order->items);
    *order = (struct order){.compare = order->compare};
}

static int compare_slots(const void *a, const void *b, void *data)
{
    const struct order *order = data;
    return order->compare(*(void *const *)a, *(void *const *)b);
}

/* The first of the first `n` that does not stand before the item. */
static size_t lower_bound(const struct order *order, const void *item, size_t n)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (order->compare(order->items[middle], item) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void settle(struct order *order)
{
    size_t added = order->n - order->n_sorted;
    if (added == 1) {
        void *item = order->items[order->n_sorted];
        size_t at = lower_bound(order, item, order->n_sorted);
        memmove(&order->items[at + 1], &order->items[at],
                (order->n_sorted - at) * sizeof *order->items);
        order->items[at] = item;
    } else if (added > 1) {
        qsort_r(order->items, order->n, sizeof *order->items, compare_slots, order);
    }
    order->n_sorted = order->n;
}

int order_add(struct order *order, void *item)
{
    if (order->n == order->capacity) {
        size_t capacity = order->capacity ? order->capacity * 2 : CAPACITY_FIRST;
        void **items = reallocarray(order->items, capacity, sizeof *items);
        if (!items)
            return -ERR_RESOURCE_EXHAUSTED;
        order->items = items;
        order->capacity = capacity;
    }
    order->items[order->n++] = item;
    return 0;
}

void order_remove(struct order *order, void *item)
{
    settle(order);
    size_t at = lower_bound(order, item, order->n);
    if (at == order->n || order->items[at] != item)
        return;
    memmove(&order->items[at], &order->items[at + 1], (order->n - at - 1) * sizeof *order->items);
    order->n--;
    order->n_sorted = order->n;
}

size_t order_count(const struct order *order)
{
    return order->n;
}

size_t order_seek(struct order *order, order_match match, const void *key)
{
    settle(order);
    size_t low = 0, high = order->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (match(order->items[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void *order_at(struct order *order, size_t position)
{
    settle(order);
    return position < order->n ? order->items[position] : NULL;
}

void *order_find(struct order *order, order_match match, const void *key)
{
    void *item = order_at(order, order_seek(order, match, key));
    return item && match(item, key) == 0 ? item : NULL;
}
