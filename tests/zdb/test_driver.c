/* The driver's own notation and reading, so that a test that passes has looked at something. */
#include "script.h"
#include "sha1.h"

#include <stdlib.h>

static void assert_size(const char *reply, size_t expected)
{
    size_t size = strlen(reply);
    assert_int_equal(reply_size((const uint8_t *)reply, size), expected);
    if (expected == SIZE_MAX)
        return;
    for (size_t cut = 0; cut < expected; cut++)
        assert_int_equal(reply_size((const uint8_t *)reply, cut), 0);
}

static void replies_are_whole_or_not_yet(void **state)
{
    (void)state;
    assert_size("+OK\r\n", 5);
    assert_size("-Command not supported\r\n+OK\r\n", 24);
    assert_size(":-1\r\n", 5);
    assert_size("$-1\r\n", 5);
    assert_size("$0\r\n\r\n", 6);
    assert_size("$3\r\na\r\n\r\n", 9);
    assert_size("*0\r\n", 4);
    assert_size("*2\r\n$1\r\na\r\n*1\r\n:5\r\n", 19);
    assert_size("+OK\n", SIZE_MAX);
    assert_size("$1\r\nab\r\n", SIZE_MAX);
    assert_size("?what\r\n", SIZE_MAX);
    assert_size("$1x\r\n", SIZE_MAX);
}

static void requests_are_read_from_their_notation(void **state)
{
    (void)state;
    static const char expected[] =
        "*5\r\n$3\r\nSET\r\n$0\r\n\r\n$3\r\n\0 %\r\n$3\r\nkkk\r\n$1\r\n@\r\n";
    size_t size;
    uint8_t *bytes = request_parse("SET '' %00%20% @3 @", &size);
    assert_int_equal(size, sizeof expected - 1);
    assert_memory_equal(bytes, expected, size);
    free(bytes);
}

static void fits(const char *bytes, const char *reply)
{
    reply_match((const uint8_t *)bytes, strlen(bytes), reply, "the driver", __FILE__, __LINE__);
}

static void replies_are_read_from_their_notation(void **state)
{
    (void)state;
    fits("+OK\r\n", "+OK");
    fits("-Access denied\r\n", "-Access denied");
    fits("-Access denied\r\n", "-?");
    fits(":17\r\n", ":#");
    fits("$-1\r\n", "nil");
    fits("$5\r\nvalue\r\n", "=value");
    fits("$5\r\nvalue\r\n", "=^val");
    fits("$5\r\nvalue\r\n", "=?5");
    fits("$5\r\nvalue\r\n", "=~");
    fits("$2\r\n42\r\n", "=#");
    fits("$0\r\n\r\n", "=");
    fits("*3\r\n$1\r\na\r\n$-1\r\n:-1\r\n", "*3|=a|nil|:-1");
}

static void other_replies_do_not_fit(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"+OK\r\n", "+O"},
        {"+OK\r\n", "+OKK"},
        {"+OK\r\n+OK\r\n", "+OK"},
        {"-Access denied\r\n", "+OK"},
        {"+OK\r\n", "-?"},
        {":x\r\n", ":#"},
        {"$-1\r\n", "="},
        {"$-1\r\n", "=~"},
        {"$0\r\n\r\n", "nil"},
        {"$5\r\nvalue\r\n", "=valu"},
        {"$5\r\nvalue\r\n", "=^w"},
        {"$5\r\nvalue\r\n", "=?4"},
        {"$5\r\nvalue\r\n", "=#"},
        {"*1\r\n$1\r\na\r\n", "*2|=a"},
        {"*1\r\n$1\r\na\r\n", "*1"},
        {"*1\r\n$1\r\na\r\n", "*1|=a|=a"},
    };
    for (size_t i = 0; i < array_length(pairs); i++)
        if (reply_fits((const uint8_t *)pairs[i][0], strlen(pairs[i][0]), pairs[i][1]))
            fail_msg("%s fits %s", pairs[i][0], pairs[i][1]);
}

static void a_hash_is_sha1(void **state)
{
    char hex[41];
    (void)state;
    sha1_hex("abc", 3, hex);
    assert_string_equal(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
    sha1_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
    assert_string_equal(hex, "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_whole_or_not_yet),
        cmocka_unit_test(requests_are_read_from_their_notation),
        cmocka_unit_test(replies_are_read_from_their_notation),
        cmocka_unit_test(other_replies_do_not_fit),
        cmocka_unit_test(a_hash_is_sha1),
    };
    return cmocka_run_group_tests_name("zdb_driver", tests, NULL, NULL);
}
