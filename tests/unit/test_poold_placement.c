/* Placement: the pool with the most room, and the truest excuse. */
#include "placement.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SSD STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD
#define HDD STORAGE__V1__DISK_TYPE__DISK_TYPE_HDD

static void cases(void **state)
{
    (void)state;
    const struct {
        const char *what;
        struct placement_pool pools[3];
        size_t n;
        Storage__V1__DiskType type;
        uint64_t limit;
        enum placement outcome;
        size_t index;
    } table[] = {
        {"none at all", {{0}}, 0, SSD, 1, PLACEMENT_NO_POOL, 0},
        {"only the other type", {{"a", HDD, true, false, 100, 0}}, 1, SSD, 1, PLACEMENT_NO_POOL, 0},
        {"the most room",
         {{"a", SSD, true, false, 10, 0},
          {"b", SSD, true, false, 30, 0},
          {"c", HDD, true, false, 90, 0}},
         3,
         SSD,
         5,
         PLACEMENT_FITS,
         1},
        {"the lowest id of equals",
         {{"b", SSD, true, false, 30, 0}, {"a", SSD, true, false, 30, 0}},
         2,
         SSD,
         30,
         PLACEMENT_FITS,
         1},
        {"a slow one only if it must be",
         {{"a", SSD, true, true, 90, 0}, {"b", SSD, true, false, 10, 0}},
         2,
         SSD,
         10,
         PLACEMENT_FITS,
         1},
        {"and it must",
         {{"a", SSD, true, true, 90, 0}, {"b", SSD, true, false, 10, 0}},
         2,
         SSD,
         11,
         PLACEMENT_FITS,
         0},
        {"not one that does not serve",
         {{"a", SSD, false, false, 90, 0}, {"b", SSD, true, false, 10, 0}},
         2,
         SSD,
         10,
         PLACEMENT_FITS,
         1},
        {"none serves", {{"a", SSD, false, false, 90, 0}}, 1, SSD, 10, PLACEMENT_NOT_SERVING, 0},
        {"too large",
         {{"a", SSD, true, false, 9, 0}, {"b", SSD, false, false, 99, 0}},
         2,
         SSD,
         10,
         PLACEMENT_TOO_LARGE,
         0},
        {"too large until it is released",
         {{"a", SSD, true, false, 9, 0}, {"b", SSD, true, false, 4, 6}},
         2,
         SSD,
         10,
         PLACEMENT_RELEASING,
         0},
        {"not even then",
         {{"a", SSD, true, false, 9, 3}},
         1,
         SSD,
         UINT64_MAX,
         PLACEMENT_TOO_LARGE,
         0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        size_t index = 77;
        enum placement outcome =
            placement_choose(table[i].pools, table[i].n, table[i].type, table[i].limit, &index);
        if (outcome != table[i].outcome)
            fail_msg("%s: outcome %d", table[i].what, (int)outcome);
        if (index != (outcome == PLACEMENT_FITS ? table[i].index : 77))
            fail_msg("%s: index %zu", table[i].what, index);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
