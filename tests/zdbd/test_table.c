/* The table of namespaces: found by id and by name, whatever was added, renamed and dropped. */
#include "namespace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 3000 };

static struct namespaces all;

static struct namespace *add(unsigned n, const char *name)
{
    char id[UUID_TEXT_SIZE];
    struct note note = {.mode = STORAGE__V1__ZDBMODE__ZDB_MODE_USER};
    (void)snprintf(id, sizeof id, "%08x-0000-4000-8000-000000000000", n * 2654435761u);
    (void)snprintf(note.name, sizeof note.name, "%s", name);
    struct namespace *space = namespaces_add(&all, id);
    assert_non_null(space);
    namespaces_note(&all, space, &note);
    return space;
}

static int close_all(void **state)
{
    (void)state;
    namespaces_free(&all);
    return 0;
}

static void each_is_found(void **state)
{
    (void)state;
    static struct namespace *spaces[MANY];
    char name[32];
    assert_null(namespaces_find_name(&all, "name-0"));
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, i % 5 ? "name-%u" : "", i);
        spaces[i] = add(i, name);
    }
    for (unsigned i = 0; i < MANY; i += 3) {
        namespaces_drop(&all, spaces[i]);
        spaces[i] = NULL;
    }
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "name-%u", i);
        assert_ptr_equal(namespaces_find_name(&all, name), i % 5 ? spaces[i] : NULL);
        if (spaces[i])
            assert_ptr_equal(namespaces_find(&all, spaces[i]->id), spaces[i]);
    }
    for (size_t i = 1; i < all.n; i++)
        assert_true(strcmp(all.by_id[i - 1]->id, all.by_id[i]->id) < 0);
}

static void a_name_goes_with_the_note(void **state)
{
    (void)state;
    struct namespace *space = add(1, "old");
    struct note note = space->noted;
    (void)snprintf(note.name, sizeof note.name, "new");
    namespaces_note(&all, space, &note);
    assert_null(namespaces_find_name(&all, "old"));
    assert_ptr_equal(namespaces_find_name(&all, "new"), space);
    note.name[0] = '\0';
    namespaces_note(&all, space, &note);
    assert_null(namespaces_find_name(&all, "new"));
    assert_null(namespaces_find_name(&all, ""));
}

/* Of two pools that met, and only what is there. */
static void the_lowest_id_has_the_name(void **state)
{
    (void)state;
    struct namespace *some[] = {add(1, "same"), add(2, "same"), add(3, "same")};
    struct namespace *lowest = some[0];
    for (size_t i = 1; i < 3; i++)
        lowest = strcmp(some[i]->id, lowest->id) < 0 ? some[i] : lowest;
    assert_ptr_equal(namespaces_find_name(&all, "same"), lowest);
    lowest->phase = NAMESPACE_DYING;
    assert_ptr_not_equal(namespaces_find_name(&all, "same"), lowest);
    for (size_t i = 0; i < 3; i++)
        some[i]->phase = NAMESPACE_UNDONE;
    assert_null(namespaces_find_name(&all, "same"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(each_is_found, close_all),
        cmocka_unit_test_teardown(a_name_goes_with_the_note, close_all),
        cmocka_unit_test_teardown(the_lowest_id_has_the_name, close_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
