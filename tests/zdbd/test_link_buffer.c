/* What a link's buffers keep: nothing long, and nothing that was not read yet. */
#include "link_buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LONG_BYTES = 60 * 1024, SMALL_BYTES = 4096 };

static void feed(redisReader *reader, const char *text)
{
    assert_int_equal(redisReaderFeed(reader, text, strlen(text)), REDIS_OK);
}

static void must_read(redisReader *reader, const char *text)
{
    void *data = NULL;
    assert_int_equal(redisReaderGetReply(reader, &data), REDIS_OK);
    redisReply *reply = data;
    assert_non_null(reply);
    if (text)
        assert_string_equal(reply->str, text);
    freeReplyObject(reply);
}

static void feed_long(redisReader *reader)
{
    char *text = malloc(LONG_BYTES);
    assert_non_null(text);
    memset(text, 'x', LONG_BYTES);
    feed(reader, "$61440\r\n");
    assert_int_equal(redisReaderFeed(reader, text, LONG_BYTES), REDIS_OK);
    feed(reader, "\r\n");
    free(text);
}

static void a_long_text_is_not_kept(void **state)
{
    sds buffer = sdsgrowzero(sdsempty(), LONG_BYTES);
    (void)state;
    link_buffer_clear(&buffer);
    assert_int_equal(sdslen(buffer), 0);
    assert_in_range(sdsalloc(buffer), 0, SMALL_BYTES);
    sdsfree(buffer);
}

static void a_long_reply_is_not_kept_when_short_ones_follow(void **state)
{
    redisReader *reader = redisReaderCreate();
    (void)state;
    feed_long(reader);
    feed(reader, "+OK\r\n");
    must_read(reader, NULL);
    must_read(reader, "OK");
    link_buffer_drop_read(reader);
    assert_in_range(sdsalloc(reader->buf), 0, SMALL_BYTES);
    feed(reader, "+after\r\n");
    must_read(reader, "after");
    redisReaderFree(reader);
}

static void what_was_not_read_stays(void **state)
{
    redisReader *reader = redisReaderCreate();
    (void)state;
    feed_long(reader);
    feed(reader, "+fir");
    must_read(reader, NULL);
    link_buffer_drop_read(reader);
    feed(reader, "st\r\n");
    must_read(reader, "first");
    redisReaderFree(reader);
}

static void after_an_error_there_is_nothing_to_drop(void **state)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    (void)state;
    feed(reader, "!\r\n");
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_ERR);
    link_buffer_drop_read(reader);
    redisReaderFree(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_text_is_not_kept),
        cmocka_unit_test(a_long_reply_is_not_kept_when_short_ones_follow),
        cmocka_unit_test(what_was_not_read_stays),
        cmocka_unit_test(after_an_error_there_is_nothing_to_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
