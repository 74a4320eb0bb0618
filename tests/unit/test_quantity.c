/* Quantities: what parses, what does not, and that the exact form parses to the same. */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void sizes_have_units_of_1024(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},
                {"1", 1},
                {"4096", 4096},
                {"1K", 1024},
                {"64k", 65536},
                {"1M", 1 << 20},
                {"20G", 20ull << 30},
                {"3t", 3ull << 40},
                {"18446744073709551615", UINT64_MAX},
                {"16777215T", 16777215ull << 40}};
    for (size_t i = 0; i < array_length(good); i++) {
        uint64_t bytes = 77;
        assert_int_equal(quantity_parse_size(good[i].text, &bytes), 0);
        assert_true(bytes == good[i].bytes);
        char text[QUANTITY_TEXT_SIZE];
        assert_int_equal(quantity_parse_size(quantity_format_exact(bytes, text), &bytes), 0);
        assert_true(bytes == good[i].bytes);
    }
    static const char *const bad[] = {"",     "K",         "-1",  "+1",
                                      "1.5G", " 1",        "1 ",  "1GB",
                                      "1P",   "0x10",      "1KK", "18446744073709551616",
                                      "1 G",  "16777216T", "G1"};
    for (size_t i = 0; i < array_length(bad); i++) {
        uint64_t bytes = 77;
        assert_int_equal(quantity_parse_size(bad[i], &bytes), -ERR_INVALID_ARGUMENT);
        assert_int_equal(bytes, 77);
    }
}

static void times_need_a_unit(void **state)
{
    (void)state;
    uint32_t ms = 0;
    assert_int_equal(quantity_parse_ms("500ms", &ms), 0);
    assert_int_equal(ms, 500);
    assert_int_equal(quantity_parse_ms("30s", &ms), 0);
    assert_int_equal(ms, 30000);
    assert_int_equal(quantity_parse_ms("2m", &ms), 0);
    assert_int_equal(ms, 120000);
    static const char *const bad[] = {"", "5", "s", "ms", "1h", "1.5s", "-1s", "1 s", "4294968s"};
    for (size_t i = 0; i < array_length(bad); i++)
        assert_int_equal(quantity_parse_ms(bad[i], &ms), -ERR_INVALID_ARGUMENT);
    assert_int_equal(ms, 120000);
}

static void people_read_rounded_sizes(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {{0, "0"},
                 {1023, "1023"},
                 {1024, "1.0K"},
                 {1536, "1.5K"},
                 {10 * 1024, "10K"},
                 {1048575, "1.0M"},
                 {(uint64_t)1 << 30, "1.0G"},
                 {4294967296, "4.0G"},
                 {(uint64_t)9 << 40, "9.0T"},
                 {(uint64_t)5000 << 40, "5000T"}};
    for (size_t i = 0; i < array_length(cases); i++) {
        char text[QUANTITY_TEXT_SIZE];
        assert_string_equal(quantity_format_human(cases[i].bytes, text), cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_have_units_of_1024),
        cmocka_unit_test(times_need_a_unit),
        cmocka_unit_test(people_read_rounded_sizes),
    };
    return cmocka_run_group_tests_name("quantity", tests, NULL, NULL);
}
