/*
 * An order: a set of pointers kept sorted, for search and for walks from any point.
 *
 * Additions gather unsorted and are merged in when next somebody looks, so that adding 10 000 at a
 * time costs one sort, and adding one costs one memmove(). Of the loop.
 */
#ifndef WORKERS_POOLD_ORDER_H
#define WORKERS_POOLD_ORDER_H

#include "base/error.h"

#include <stddef.h>

/* Total: 0 only for the same element. */
typedef int (*order_compare)(const void *a, const void *b);
/* An element against a key: < 0 when it stands before the key. */
typedef int (*order_match)(const void *item, const void *key);

struct order {
    order_compare compare;
    void **items;
    size_t n, n_sorted, capacity;
};

void order_init(struct order *order, order_compare compare);
void order_free(struct order *order);

/* `item` is borrowed. -ERR_RESOURCE_EXHAUSTED without memory. */
int order_add(struct order *order, void *item);
/* Does nothing if it is not there. */
void order_remove(struct order *order, void *item);

size_t order_count(const struct order *order);
/* The position of the first element that does not stand before the key; order_count() if none. */
size_t order_seek(struct order *order, order_match match, const void *key);
/* NULL past the end. */
void *order_at(struct order *order, size_t position);
/* The first element that matches the key, or NULL. */
void *order_find(struct order *order, order_match match, const void *key);

#endif
