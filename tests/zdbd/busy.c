/* Busy clients: see the header. */
#include "busy.h"

#include "zdbnode.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 64 };

struct busy {
    struct client *client;
    pthread_t thread;
    atomic_bool stop;
    atomic_ulong n_written;
    char failed[256]; /* what went wrong; empty: nothing */
};

static bool is_reply(struct client *client, const char *wanted, char *out_failed, size_t size)
{
    size_t length = 0;
    const uint8_t *reply = client_reply(client, &length);
    if (reply && length == strlen(wanted) && memcmp(reply, wanted, length) == 0)
        return true;
    (void)snprintf(out_failed, size, "the reply is %.*s, not %s", (int)length,
                   reply ? (const char *)reply : "", wanted);
    return false;
}

static bool write_one(struct busy *busy)
{
    char key[16], value[32], wanted[64];
    unsigned long n = atomic_load(&busy->n_written);
    (void)snprintf(key, sizeof key, "key-%lu", n % KEYS);
    (void)snprintf(value, sizeof value, "value-%lu", n);
    const struct word set[] = {word("SET"), word(key), word(value)};
    const struct word get[] = {word("GET"), word(key)};
    (void)snprintf(wanted, sizeof wanted, "$%zu\r\n%s\r\n", strlen(key), key);
    if (!client_send_words(busy->client, set, array_length(set)) ||
        !is_reply(busy->client, wanted, busy->failed, sizeof busy->failed))
        return false;
    (void)snprintf(wanted, sizeof wanted, "$%zu\r\n%s\r\n", strlen(value), value);
    return client_send_words(busy->client, get, array_length(get)) &&
           is_reply(busy->client, wanted, busy->failed, sizeof busy->failed);
}

static void *keep_busy(void *data)
{
    struct busy *busy = data;
    while (!atomic_load(&busy->stop) && !*busy->failed) {
        if (write_one(busy))
            atomic_fetch_add(&busy->n_written, 1);
        else if (!*busy->failed)
            (void)snprintf(busy->failed, sizeof busy->failed, "the 0-db closed the connection");
    }
    return NULL;
}

struct busy *busy_start(const Storage__V1__ZDBNamespace *space, const char *password)
{
    struct busy *busy = calloc(1, sizeof *busy);
    assert_non_null(busy);
    busy->client = zdbnode_enter(space, password);
    assert_int_equal(pthread_create(&busy->thread, NULL, keep_busy, busy), 0);
    return busy;
}

unsigned long busy_count(const struct busy *busy)
{
    return atomic_load(&busy->n_written);
}

void busy_end(struct busy *busy)
{
    atomic_store(&busy->stop, true);
    assert_int_equal(pthread_join(busy->thread, NULL), 0);
    assert_string_equal(busy->failed, "");
    assert_true(busy_count(busy) > 0);
    client_close(busy->client);
    free(busy);
}
