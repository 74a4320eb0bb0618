/* Who is let in, and whose request is next: pure. */
#include "base/cleanup.h"
#include "rpc/peers.h"
#include "rpc/server.h"
#include "rpc/turns.h"

#include <setjmp.h>
#include <stdarg.h>
/* cmocka.h wants the two above. */
#include <cmocka.h>

enum { MANY = 1000, ADMIN = 7, READER = 1000, OTHER = 1001, USER_MAX = 4 };

/* --- turns ----------------------------------------------------------------------------------- */

/* A user with one connection, on which requests wait. */
struct asker {
    struct turn_user user;
    struct turn_line line;
    struct turn asked[MANY];
};

static void ask(struct turns *turns, struct asker *asker, unsigned n)
{
    asker->line.user = &asker->user;
    for (unsigned i = 0; i < n; i++)
        turns_add(turns, &asker->line, &asker->asked[i]);
}

/* How many of others are worked on before this one, when each takes so long. */
static unsigned count_before(struct turns *turns, const struct turn *wanted, uint64_t us)
{
    unsigned n = 0;
    for (const struct turn *turn; (turn = turns_take(turns)) != wanted; n++) {
        assert_non_null(turn);
        turns_charge(turns, us);
    }
    turns_charge(turns, us);
    return n;
}

static void a_flood_costs_another_user_one_while(void **state)
{
    (void)state;
    static const uint64_t costs_us[] = {10, 100, TURNS_WHILE_US, 3000};
    for (size_t i = 0; i < array_length(costs_us); i++) {
        struct asker flooder = {0}, innocent = {0};
        struct turns turns = {0};
        ask(&turns, &flooder, MANY);
        ask(&turns, &innocent, 1);
        unsigned before = count_before(&turns, &innocent.asked[0], costs_us[i]);
        assert_true(before * costs_us[i] < TURNS_WHILE_US + costs_us[i]);
        ask(&turns, &innocent, 1); /* and when he comes again */
        before = count_before(&turns, &innocent.asked[0], costs_us[i]);
        assert_true(before * costs_us[i] < TURNS_WHILE_US + costs_us[i]);
    }
}

static void connections_of_a_user_take_turns(void **state)
{
    (void)state;
    struct asker flooder = {0};
    struct turn_line another = {.user = &flooder.user};
    struct turns turns = {0};
    struct turn first = {0}, second = {0};
    ask(&turns, &flooder, MANY);
    turns_add(&turns, &another, &first);
    turns_add(&turns, &another, &second);
    assert_int_equal(count_before(&turns, &first, 1), 1);
    assert_int_equal(count_before(&turns, &second, 1), 1);
}

static void a_connection_is_answered_in_order(void **state)
{
    (void)state;
    struct asker asker = {0};
    struct turns turns = {0};
    assert_null(turns_take(&turns));
    ask(&turns, &asker, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        assert_ptr_equal(turns_take(&turns), &asker.asked[i]);
        turns_charge(&turns, TURNS_WHILE_US / 2);
    }
    assert_null(turns_take(&turns));
    turns_charge(&turns, TURNS_WHILE_US); /* of somebody who may be gone */
}

/* --- peers ----------------------------------------------------------------------------------- */

static const uid_t admins[] = {ADMIN};
static const struct peers_options options = {
    .url = "a socket", .admins = admins, .n_admins = 1, .user_max = USER_MAX};

static unsigned admit_many(struct peers *peers, uint32_t first_pipe, unsigned n, uid_t uid)
{
    unsigned admitted = 0;
    for (unsigned i = 0; i < n; i++)
        admitted += peers_admit(peers, first_pipe + i, uid, 0);
    return admitted;
}

static void a_user_has_so_many_connections(void **state)
{
    (void)state;
    struct peers peers;
    peers_init(&peers, &options);
    assert_int_equal(admit_many(&peers, 1, 2 * USER_MAX, READER), USER_MAX);
    assert_int_equal(admit_many(&peers, 101, 2 * USER_MAX, OTHER), USER_MAX);
    assert_int_equal(admit_many(&peers, 201, 2 * USER_MAX, ADMIN), 2 * USER_MAX);
    assert_int_equal(admit_many(&peers, 301, 2 * USER_MAX, 0), 2 * USER_MAX);
    peers_dismiss(&peers, 1 + USER_MAX); /* was never let in */
    assert_false(peers_admit(&peers, 401, READER, 0));
    peers_dismiss(&peers, 1);
    assert_true(peers_admit(&peers, 402, READER, 0));
    assert_false(peers_admit(&peers, 403, READER, 0));
    peers_free(&peers);
}

static void some_places_are_kept_for_root(void **state)
{
    (void)state;
    enum { OTHERS = RPC_PEERS_MAX - RPC_PEERS_KEPT };
    struct peers peers;
    peers_init(&peers, &options);
    for (unsigned i = 0; i < OTHERS; i++)
        assert_true(peers_admit(&peers, 1 + i, READER + i, 0));
    assert_false(peers_admit(&peers, OTHERS + 1, READER + OTHERS, 0));
    assert_int_equal(admit_many(&peers, OTHERS + 2, RPC_PEERS_MAX, 0), RPC_PEERS_KEPT);
    peers_free(&peers);
}

static void a_peer_stays_while_it_is_worked_for(void **state)
{
    (void)state;
    struct peers peers;
    peers_init(&peers, &options);
    assert_null(peers_take(&peers, 1));
    assert_true(peers_admit(&peers, 1, READER, 33));
    struct peer *peer = peers_take(&peers, 1);
    assert_non_null(peer);
    peers_dismiss(&peers, 1);
    assert_int_equal(peer->user->uid, READER);
    assert_int_equal(peer->gid, 33);
    assert_int_equal(peer->user->n_connected, 0);
    peers_put(&peers, peer);
    assert_null(peers_take(&peers, 1));
    peers_free(&peers);
}

static void a_refusal_is_told_once_in_a_while(void **state)
{
    (void)state;
    struct peers peers;
    peers_init(&peers, &options);
    assert_true(peers_admit(&peers, 1, READER, 0) && peers_admit(&peers, 2, OTHER, 0));
    struct peer *peer = peers_take(&peers, 1), *other = peers_take(&peers, 2);
    assert_true(peers_tell(&peers, peer->user));
    assert_false(peers_tell(&peers, peer->user));
    assert_true(peers_tell(&peers, other->user));
    peers_put(&peers, peer);
    peers_dismiss(&peers, 1);
    assert_true(peers_admit(&peers, 3, READER, 0)); /* gone and back: not told again */
    peer = peers_take(&peers, 3);
    assert_false(peers_tell(&peers, peer->user));
    peers_put(&peers, peer);
    peers_put(&peers, other);
    peers_free(&peers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_costs_another_user_one_while),
        cmocka_unit_test(connections_of_a_user_take_turns),
        cmocka_unit_test(a_connection_is_answered_in_order),
        cmocka_unit_test(a_user_has_so_many_connections),
        cmocka_unit_test(some_places_are_kept_for_root),
        cmocka_unit_test(a_peer_stays_while_it_is_worked_for),
        cmocka_unit_test(a_refusal_is_told_once_in_a_while),
    };
    return cmocka_run_group_tests_name("rpc, turns", tests, NULL, NULL);
}
