/* The index: found by every key, walked in order, also with ten thousand in it. */
#include "index.h"

#include "base/clock.h"
#include "base/uuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 10000 };

static struct space *make(struct index *index, const char *name, uint32_t uid,
                          const char *request_id)
{
    struct space *space = space_new(NULL);
    uuid_random(space->record.id);
    (void)snprintf(space->record.name, sizeof space->record.name, "%s", name);
    (void)snprintf(space->record.request_id, sizeof space->record.request_id, "%s", request_id);
    space->record.request_uid = uid;
    assert_int_equal(index_add(index, space), 0);
    return space;
}

static void drop(struct index *index, struct space *space)
{
    index_remove(index, space);
    space_free(space);
}

static void found_by_its_keys(void **state)
{
    (void)state;
    struct index index;
    index_init(&index);
    assert_null(index_find_id(&index, "x"));
    assert_null(index_find_name(&index, "web"));
    struct space *web = make(&index, "web", 0, "r1");
    struct space *anonymous = make(&index, "", 1000, "r1");
    struct space *other = make(&index, "", 1001, "r1");
    assert_ptr_equal(index_find_name(&index, "web"), web);
    assert_null(index_find_name(&index, "we"));
    assert_null(index_find_name(&index, "webs"));
    assert_null(index_find_name(&index, ""));
    assert_ptr_equal(index_find_id(&index, anonymous->record.id), anonymous);
    assert_ptr_equal(index_find_request(&index, 1000, "r1"), anonymous);
    assert_ptr_equal(index_find_request(&index, 1001, "r1"), other);
    /* A named one is keyed by its name alone. */
    assert_null(index_find_request(&index, 0, "r1"));
    drop(&index, web);
    assert_null(index_find_name(&index, "web"));
    drop(&index, anonymous);
    drop(&index, other);
    assert_int_equal(index_count(&index), 0);
    index_free(&index);
}

static void the_same_name_twice_is_told_apart(void **state)
{
    (void)state;
    struct index index;
    index_init(&index);
    struct space *a = make(&index, "twice", 0, ""), *b = make(&index, "twice", 0, "");
    struct space *low = strcmp(a->record.id, b->record.id) < 0 ? a : b, *high = low == a ? b : a;
    assert_ptr_equal(index_find_name(&index, "twice"), low);
    drop(&index, low);
    assert_ptr_equal(index_find_name(&index, "twice"), high);
    drop(&index, high);
    index_free(&index);
}

static void ten_thousand_are_walked_in_pages(void **state)
{
    (void)state;
    struct index index;
    struct space **all = calloc(MANY, sizeof *all);
    index_init(&index);
    uint64_t start = clock_monotonic_ms();
    for (int i = 0; i < MANY; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "space-%d", i);
        all[i] = make(&index, i % 2 ? name : "", 7, name);
        if (i % 16 == 0) /* looked at in between, as a running node's is */
            assert_non_null(index_find_id(&index, all[i]->record.id));
    }
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(index_find_id(&index, all[i]->record.id), all[i]);
    size_t seen = 0;
    char token[UUID_TEXT_SIZE] = "";
    for (;;) {
        size_t at = index_after(&index, token), n = 0;
        for (const struct space *space; n < 999 && (space = index_at(&index, at)); at++, n++) {
            assert_true(strcmp(space->record.id, token) > 0);
            memcpy(token, space->record.id, sizeof token);
        }
        seen += n;
        if (n == 0)
            break;
        /* What is removed between two pages does not disturb the next. */
        struct space *gone = index_find_id(&index, token);
        index_remove(&index, gone);
        assert_int_equal(index_add(&index, gone), 0);
    }
    assert_int_equal(seen, MANY);
    for (int i = 0; i < MANY; i++)
        drop(&index, all[i]);
    assert_true(clock_monotonic_ms() - start < 20000);
    free(all);
    index_free(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_by_its_keys),
        cmocka_unit_test(the_same_name_twice_is_told_apart),
        cmocka_unit_test(ten_thousand_are_walked_in_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
