/* Values that are read through a mapping of their file: as it grows, changes and is cut beneath. */
#include "script.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { VALUE = 2000, N = 400 };

static const char *data_path(void)
{
    static char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/default/d0", zdb.data);
    return path;
}

static void set(unsigned key, char fill)
{
    char name[16], reply[32], value[VALUE + 1];
    memset(value, fill, VALUE);
    (void)snprintf(name, sizeof name, "key%03u", key);
    const struct word words[] = {word("SET"), word(name), {value, VALUE}};
    assert_true(client_send_words(on(1), words, 3));
    (void)snprintf(reply, sizeof reply, "=%s", name);
    ask(1, "", reply);
}

/* True if it is the value that was set; an error is the only other thing that it may be. */
static bool has(unsigned key, char fill)
{
    char request[32];
    size_t size;
    (void)snprintf(request, sizeof request, "GET key%03u", key);
    ask(1, request, "");
    const uint8_t *reply = client_reply(on(1), &size);
    assert_non_null(reply);
    if (reply_fits(reply, size, "-Internal Error"))
        return false;
    assert_int_equal(size, strlen("$2000\r\n") + VALUE + 2);
    for (size_t i = 0; i < VALUE; i++)
        assert_int_equal(reply[7 + i], (uint8_t)fill);
    return true;
}

static void fill_and_read(void)
{
    for (unsigned key = 0; key < N; key++)
        set(key, 'a');
    for (unsigned key = 0; key < N; key++)
        assert_true(has(key, 'a'));
}

static void what_is_added_and_replaced_is_read(void)
{
    server_start_with(&zdb, "--datasize", "64M");
    fill_and_read();
    for (unsigned key = 0; key < N; key++) {
        set(key, 'b');
        assert_true(has(key, 'b'));
    }
    uint8_t *large = calloc(1, 6 << 20);
    assert_non_null(large);
    for (unsigned i = 0; i < 6; i++) { /* behind what was mapped at first */
        large[0] = (uint8_t)i;
        const struct word words[] = {word("SET"), word("large"), {large, 6 << 20}};
        assert_true(client_send_words(on(1), words, 3));
        ask(1, "", "=large");
        set(i, 'c');
        assert_true(has(i, 'c'));
    }
    free(large);
    for (unsigned key = 0; key < N; key++)
        assert_true(has(key, key < 6 ? 'c' : 'b'));
}

static void a_file_that_is_cut_beneath_is_an_error(void)
{
    server_start(&zdb, NULL);
    fill_and_read();
    assert_int_equal(truncate(data_path(), 10 * VALUE), 0);
    unsigned n = 0;
    for (unsigned round = 0; round < 2; round++)
        for (unsigned key = 0; key < N; key++)
            n += has(key, 'a');
    assert_in_range(n, 2 * 8, 2 * 10);
    ask(1, "CHECK key300", ":0");
    ask(1, "PING", "+PONG");
    set(N, 'd');
    assert_true(has(N, 'd'));
}

static void bytes_that_change_beneath_are_noticed(void)
{
    server_start(&zdb, NULL);
    fill_and_read();
    autoclose int fd = open(data_path(), O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "x", 1, 100000), 1);
    unsigned n = 0;
    for (unsigned key = 0; key < N; key++)
        n += has(key, 'a');
    assert_int_equal(n, N - 1);
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(what_is_added_and_replaced_is_read),
        zdb_case(a_file_that_is_cut_beneath_is_an_error),
        zdb_case(bytes_that_change_beneath_are_noticed),
    };
    return zdb_main(argc, argv, "zdb_mapping", cases, array_length(cases));
}
