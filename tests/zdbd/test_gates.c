/*
 * What is locked or frozen is so from the moment that its 0-db lets clients in: zdbd is stopped
 * before it could say anything to it.
 */
#include "zdbnode.h"

#include <signal.h>
#include <stdio.h>

#define DISK_BYTES (2 * GiB)

static void set_gate(struct node *node, const char *verb, const Storage__V1__ZDBNamespace *space)
{
    struct command_result result = node_ctl(node, "namespace", verb, space->id);
    assert_int_equal(result.status, 0);
}

static void must_refuse(struct client *client, const char *text, const struct word *words, size_t n)
{
    size_t size;
    assert_true(client_send_words(client, words, n));
    const uint8_t *reply = client_reply(client, &size);
    assert_non_null(reply);
    if (size < strlen(text) || memcmp(reply, text, strlen(text)) != 0)
        fail_msg("the 0-db answers %.*s, not %s", (int)size, reply, text);
}

static bool lets_in(struct node *node, void *port)
{
    (void)node;
    struct client *client = client_try_tcp(*(uint16_t *)port);
    if (client)
        client_close(client);
    return client != NULL;
}

/* Kills the 0-db, and zdbd stands still from when the next one is launched. */
static pid_t restart_unattended(struct node *node)
{
    autoreply Storage__V1__ZDBInstance *before = zdbnode_instance(node, NULL);
    uint16_t port = (uint16_t)before->port;
    pid_t zdbd = node_worker(node, "zdbd").pid;
    node_mark(node);
    assert_int_equal(kill((pid_t)before->pid, SIGKILL), 0);
    (void)watch_wait(node->watch, "zdb.launched", NULL);
    assert_int_equal(kill(zdbd, SIGSTOP), 0);
    node_wait(node, lets_in, &port, "the 0-db lets clients in");
    return zdbd;
}

static void gates_are_shut_from_the_start(void)
{
    const struct word set[] = {word("SET"), word("key"), word("other")};
    const struct word get[] = {word("GET"), word("key")};
    struct node *node =
        zdbnode_create_list((struct disk *const[]){disk_create(DISK_BYTES, DISK_SSD), NULL});
    node_set(node, "supervisor.beat_ms", "20000"); /* zdbd is not missed */
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__ZDBNamespace *open = zdbnode_reserve(node, "open", MiB);
    autoreply Storage__V1__ZDBNamespace *locked = zdbnode_reserve(node, "locked", MiB);
    autoreply Storage__V1__ZDBNamespace *frozen = zdbnode_reserve(node, "frozen", MiB);
    struct client *client = zdbnode_enter(locked, PASSWORD);
    zdbnode_set(client, "key", "value");
    client_close(client);
    set_gate(node, "lock", locked);
    set_gate(node, "freeze", frozen);

    pid_t zdbd = restart_unattended(node);
    client = zdbnode_enter(open, PASSWORD);
    zdbnode_set(client, "key", "value");
    client_close(client);
    client = zdbnode_enter(locked, PASSWORD);
    must_refuse(client, "-Namespace is temporarily locked", set, array_length(set));
    zdbnode_must_get(client, "key", "value");
    client_close(client);
    client = zdbnode_enter(frozen, PASSWORD);
    must_refuse(client, "-Namespace is temporarily frozen", set, array_length(set));
    must_refuse(client, "-Namespace is temporarily frozen", get, array_length(get));
    client_close(client);

    assert_int_equal(kill(zdbd, SIGCONT), 0);
    zdbnode_wait_all_live(node, 3);
    set_gate(node, "unlock", locked);
    set_gate(node, "unfreeze", frozen);
    zdbd = restart_unattended(node);
    client = zdbnode_enter(locked, PASSWORD);
    zdbnode_set(client, "key", "third");
    client_close(client);
    client = zdbnode_enter(frozen, PASSWORD);
    zdbnode_must_get(client, "key", NULL);
    client_close(client);
    assert_int_equal(kill(zdbd, SIGCONT), 0);
    zdbnode_wait_all_live(node, 3);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(gates_are_shut_from_the_start),
    };
    return harness_main(argc, argv, "zdbd_gates", cases, array_length(cases));
}
