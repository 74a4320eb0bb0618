/* Pages of lists, and copies of messages: both work on any message by its descriptor. */
#include "rpc/message.h"
#include "rpc/page.h"
#include "storage/v1/pool.pb-c.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
/* cmocka.h wants the three above. */
#include <cmocka.h>

enum { THERE_ARE = 5 };

static char *const ids[THERE_ARE] = {"a", "b", "c", "d", "e"};

/* A page of so many, of those from `first` on. */
static void fill(struct page *page, size_t first, uint32_t asked, Storage__V1__SpaceListReply *out)
{
    Storage__V1__Space *space;
    assert_true(page_open(page, NULL, sizeof *space, "", asked, THERE_ARE));
    for (size_t i = first; !page->full && i < THERE_ARE; i++) {
        if (!(space = page_slot(page)))
            continue;
        storage__v1__space__init(space);
        space->id = ids[i];
        page_keep(page, &space->base);
    }
    storage__v1__space_list_reply__init(out);
    page_fill(page, &out->base);
}

static void a_page_names_its_last_when_there_is_more(void **state)
{
    const struct {
        size_t first;
        uint32_t asked;
        size_t n;
        const char *token;
    } cases[] = {
        {0, 0, 5, ""},  {0, 5, 5, ""}, {0, 9, 5, ""}, {0, 2, 2, "b"},
        {2, 2, 2, "d"}, {4, 2, 1, ""}, {3, 2, 2, ""}, {5, 2, 0, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct page page;
        Storage__V1__SpaceListReply reply;
        fill(&page, cases[i].first, cases[i].asked, &reply);
        assert_int_equal(reply.n_spaces, cases[i].n);
        for (size_t k = 0; k < reply.n_spaces; k++)
            assert_string_equal(reply.spaces[k]->id, ids[cases[i].first + k]);
        assert_string_equal(reply.next_page_token, cases[i].token);
        page_close(&page);
    }
}

/* What does not fit one reply is the next page's. */
static void a_page_is_no_larger_than_a_reply(void **state)
{
    static char name[PAGE_MAX_BYTES / 2];
    struct page page;
    Storage__V1__Space *space;
    Storage__V1__SpaceListReply reply = STORAGE__V1__SPACE_LIST_REPLY__INIT;
    (void)state;
    memset(name, 'n', sizeof name - 1);
    assert_true(page_open(&page, NULL, sizeof *space, "", 0, THERE_ARE));
    for (size_t i = 0; !page.full && i < THERE_ARE; i++) {
        space = page_slot(&page);
        assert_non_null(space);
        storage__v1__space__init(space);
        space->id = ids[i];
        space->name = name;
        page_keep(&page, &space->base);
    }
    page_fill(&page, &reply.base);
    assert_int_equal(reply.n_spaces, 1);
    assert_string_equal(reply.next_page_token, "a");
    page_close(&page);
}

static void a_copy_is_deep(void **state)
{
    char id[] = "first";
    Storage__V1__Space space = STORAGE__V1__SPACE__INIT, *list[] = {&space, &space};
    Storage__V1__SpaceListReply reply = STORAGE__V1__SPACE_LIST_REPLY__INIT;
    (void)state;
    space.id = id;
    space.size_bytes = 7;
    reply.n_spaces = 2;
    reply.spaces = list;
    Storage__V1__SpaceListReply *copy = message_copy(&reply.base);
    assert_non_null(copy);
    id[0] = 'w';
    assert_int_equal(copy->n_spaces, 2);
    assert_string_equal(copy->spaces[1]->id, "first");
    assert_int_equal(copy->spaces[1]->size_bytes, 7);
    storage__v1__space_list_reply__free_unpacked(copy, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_names_its_last_when_there_is_more),
        cmocka_unit_test(a_page_is_no_larger_than_a_reply),
        cmocka_unit_test(a_copy_is_deep),
    };
    return cmocka_run_group_tests_name("rpc_page", tests, NULL, NULL);
}
