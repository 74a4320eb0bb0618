/* Names that callers give. */
#include "base/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void good_names(void **state)
{
    (void)state;
    const char *const good[] = {
        "a",
        "...a..b",
        "...",
        "web-1.example",
        "with space",
        "\xc3\xa9",
        "\xe2\x82\xac",
        "\xf0\x9f\x92\xbe",
        "\xef\xbf\xbd",
        "\xf4\x8f\xbf\xbf",
        "\\",
        "a:b",
        "\xc2\xa0",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (name_check(good[i], NULL) != 0)
            fail_msg("\"%s\" was refused", good[i]);
    char longest[129] = {0};
    memset(longest, 'n', 128);
    assert_int_equal(name_check(longest, NULL), 0);
}

static void bad_names(void **state)
{
    (void)state;
    const struct {
        const char *name, *says;
    } bad[] = {
        {"", "1 to 128"},
        {".", "no name"},
        {"..", "no name"},
        {"/", "'/'"},
        {"a/b", "'/'"},
        {"a\nb", "U+000A"},
        {"\x1b[31m", "U+001B"},
        {"a\x7f", "U+007F"},
        {"\xc2\x9b", "U+009B"},
        {"a\xff", "UTF-8"},
        {"\x80", "UTF-8"},
        {"\xc3", "UTF-8"},
        {"\xc0\xaf", "UTF-8"},         /* an overlong '/' */
        {"\xe0\x80\xaf", "UTF-8"},     /* and longer */
        {"\xed\xa0\x80", "UTF-8"},     /* a surrogate */
        {"\xf4\x90\x80\x80", "UTF-8"}, /* beyond U+10FFFF */
        {"\xf8\x88\x80\x80\x80", "UTF-8"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = {0};
        assert_int_equal(name_check(bad[i].name, &err), -ERR_INVALID_ARGUMENT);
        if (!strstr(err.message, bad[i].says))
            fail_msg("\"%s\" does not say %s", err.message, bad[i].says);
        err_clear(&err);
    }
    char too_long[130] = {0};
    memset(too_long, 'n', 129);
    assert_int_equal(name_check(too_long, NULL), -ERR_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_names), cmocka_unit_test(bad_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
