/*
 * nng as we link it: what nng 1.5.2 does wrong and lib/nng mends. Each of these hangs with the
 * library as it is.
 */
#include <nng/nng.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
/* cmocka.h wants the headers above. */
#include <cmocka.h>

#ifdef __SANITIZE_ADDRESS__
/* See lib/nng/leaks.c. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:publish\n";
}
#endif

static char folder[] = "/tmp/storaged-nng-XXXXXX";
static char path[sizeof folder + 8], url[sizeof path + 8];

static int make_folder(void **state)
{
    (void)state;
    alarm(60); /* a hang is what these tests are about */
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/socket", folder);
    snprintf(url, sizeof url, "ipc://%s", path);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static void a_listener_survives_who_closes_early(void **state)
{
    (void)state;
    nng_socket server, client;
    void *bytes;
    size_t length;
    assert_int_equal(nng_rep0_open(&server), 0);
    assert_int_equal(nng_listen(server, url, NULL, 0), 0);
    for (int i = 0; i < 20; i++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        strcpy(address.sun_path, path);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        close(fd);
    }
    assert_int_equal(nng_req0_open(&client), 0);
    assert_int_equal(nng_socket_set_ms(client, NNG_OPT_SENDTIMEO, 10000), 0);
    assert_int_equal(nng_socket_set_ms(server, NNG_OPT_RECVTIMEO, 10000), 0);
    assert_int_equal(nng_dial(client, url, NULL, NNG_FLAG_NONBLOCK), 0);
    assert_int_equal(nng_send(client, (void *)"x", 1, 0), 0);
    assert_int_equal(nng_recv(server, &bytes, &length, NNG_FLAG_ALLOC), 0);
    nng_free(bytes, length);
    nng_close(client);
    nng_close(server);
}

struct flood {
    nng_socket socket;
    atomic_bool over;
};

static void *publish(void *data)
{
    struct flood *flood = data;
    char bytes[200] = {0};
    while (!atomic_load(&flood->over)) {
        for (int i = 0; i < 50; i++)
            (void)nng_send(flood->socket, bytes, sizeof bytes, NNG_FLAG_NONBLOCK);
        sched_yield();
    }
    return NULL;
}

static void a_subscriber_can_be_closed_while_messages_come(void **state)
{
    (void)state;
    struct flood flood = {0};
    pthread_t thread;
    assert_int_equal(nng_pub0_open(&flood.socket), 0);
    assert_int_equal(nng_listen(flood.socket, url, NULL, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, publish, &flood), 0);
    for (int i = 0; i < 100; i++) {
        nng_socket subscriber;
        assert_int_equal(nng_sub0_open(&subscriber), 0);
        assert_int_equal(nng_socket_set(subscriber, NNG_OPT_SUB_SUBSCRIBE, "", 0), 0);
        assert_int_equal(nng_dial(subscriber, url, NULL, 0), 0);
        for (int k = 0; k < 20; k++) {
            void *bytes;
            size_t length;
            assert_int_equal(nng_recv(subscriber, &bytes, &length, NNG_FLAG_ALLOC), 0);
            nng_free(bytes, length);
        }
        assert_int_equal(nng_close(subscriber), 0);
    }
    atomic_store(&flood.over, true);
    pthread_join(thread, NULL);
    nng_close(flood.socket);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listener_survives_who_closes_early),
        cmocka_unit_test(a_subscriber_can_be_closed_while_messages_come),
    };
    return cmocka_run_group_tests_name("nng", tests, make_folder, remove_folder);
}
