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
    zdbnode_say(client, "-Namespace is temporarily locked", word("SET"), word("key"),
                word("other"));
    zdbnode_must_get(client, "key", "value");
    client_close(client);
    client = zdbnode_enter(frozen, PASSWORD);
    zdbnode_say(client, "-Namespace is temporarily frozen", word("SET"), word("key"),
                word("other"));
    zdbnode_say(client, "-Namespace is temporarily frozen", word("GET"), word("key"));
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
