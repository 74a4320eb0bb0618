/* Namespaces and 0-db servers from the shell, on a real node: what storagectl says is what a client
 * of the 0-db meets. */
#include "zdbnode.h"

#include <stdio.h>

/* As `storagectl --help` has them. */
enum { EXIT_WRONG = 2, EXIT_NOT_FOUND, EXIT_REFUSED, EXIT_NO_ROOM, EXIT_NOT_ALLOWED, EXIT_NOT_NOW };

#define NEW_PASSWORD "close sesame"

static struct node *start_node(void)
{
    return zdbnode_start(disk_create(4 * GiB, DISK_SSD));
}

/* ---- commands ---- */

static struct command_result pass(const struct node *node, const char *const *args)
{
    struct command_result result = node_ctl_list(node, args);
    if (result.status != 0)
        fail_msg("%s %s: %d: %s%s", args[0], args[1], result.status, result.out, result.err);
    return result;
}
#define ctl(node, ...) pass((node), (const char *const[]){__VA_ARGS__, NULL})

static void refuse(const struct node *node, int status, const char *says, const char *const *args)
{
    struct command_result result = node_ctl_list(node, args);
    if (result.status != status || !strcasestr(result.err, says))
        fail_msg("%s %s: %d, not %d with \"%s\": %s", args[0], args[1], result.status, status, says,
                 result.err);
}
#define must_refuse(node, status, says, ...)                                                       \
    refuse((node), (status), (says), (const char *const[]){__VA_ARGS__, NULL})

/* A file with this first line; it is the same file each time. */
static const char *password_file(const char *password)
{
    static char path[HARNESS_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/password", harness_dir());
    autofree char *text = path_format("%s\nnothing to be read\n", password);
    file_write(path, text, strlen(text));
    return path;
}

static void reserve(const struct node *node, const char *name)
{
    (void)ctl(node, "namespace", "reserve", "--type", "ssd", "--size", "64M", "--mode", "user",
              "--name", name, "--password-file", password_file(PASSWORD));
}

/* The only one. */
static Storage__V1__ZDBNamespace *get(struct node *node)
{
    autoreply Storage__V1__NamespaceListReply *list = zdbnode_list(node);
    assert_int_equal(list->n_namespaces, 1);
    return zdbnode_get(node, list->namespaces[0]->id);
}

/* ---- a client of the 0-db ---- */

static void cleanup_client(struct client **client)
{
    if (*client)
        client_close(*client);
}
#define autoclient __attribute__((cleanup(cleanup_client)))

/* ---- the tests ---- */

static void a_namespace_from_the_shell(void)
{
    struct node *node = start_node();
    reserve(node, "shell");
    autoreply Storage__V1__ZDBNamespace *space = get(node);
    autoclient struct client *client = zdbnode_enter(space, PASSWORD);
    zdbnode_set(client, "key", "value");

    struct command_result list = ctl(node, "namespace", "list");
    assert_non_null(strstr(list.out, space->id));
    list = ctl(node, "--json", "namespace", "list", "--type", "ssd", "--pool", space->pool);
    assert_true(json_holds(list.out, "[.namespaces[].name] == [\"shell\"]"));
    struct command_result usage = ctl(node, "--json", "namespace", "usage", "shell");
    assert_true(json_holds(usage.out, ".entries == 1 and .data_bytes == 5 and .errors == 0"));
    struct command_result found = ctl(node, "--json", "namespace", "get", space->id);
    assert_true(json_holds(found.out, ".state == \"live\" and .mode == \"user\""));

    (void)ctl(node, "namespace", "release", "shell");
    must_refuse(node, EXIT_NOT_FOUND, "no namespace", "namespace", "get", space->id);
    struct command_result again = ctl(node, "namespace", "release", space->id);
    assert_non_null(strstr(again.out, "was not there"));
    assert_int_equal(node_log_count(node, "sesame"), 0);
}

static void a_namespace_is_changed_from_the_shell(void)
{
    struct node *node = start_node();
    reserve(node, "n");
    autoreply Storage__V1__ZDBNamespace *space = get(node);
    autoclient struct client *client = zdbnode_enter(space, PASSWORD);
    zdbnode_set(client, "key", "value");

    (void)ctl(node, "namespace", "lock", "n");
    zdbnode_say(client, "-", word("SET"), word("key"), word("other"));
    zdbnode_must_get(client, "key", "value");
    (void)ctl(node, "namespace", "freeze", "n");
    zdbnode_say(client, "-", word("GET"), word("key"));
    (void)ctl(node, "namespace", "unfreeze", "n");
    zdbnode_must_get(client, "key", "value");
    zdbnode_say(client, "-", word("SET"), word("key"), word("other")); /* the lock is back */
    (void)ctl(node, "namespace", "unlock", "n");
    zdbnode_set(client, "key", "other");

    (void)ctl(node, "namespace", "password", "n", "--password-file", password_file(NEW_PASSWORD));
    autoclient struct client *late = client_open_tcp((uint16_t)space->port);
    zdbnode_say(late, "-", word("SELECT"), word(space->id), word(PASSWORD));
    zdbnode_say(late, "+OK", word("SELECT"), word(space->id), word(NEW_PASSWORD));

    autoclient struct client *guest = client_open_tcp((uint16_t)space->port);
    zdbnode_say(guest, "-", word("SELECT"), word(space->id));
    (void)ctl(node, "namespace", "public", "n", "yes");
    zdbnode_say(guest, "+OK", word("SELECT"), word(space->id));
    zdbnode_must_get(guest, "key", "other");
    (void)ctl(node, "namespace", "public", "n", "no");

    struct command_result changed = ctl(node, "--json", "namespace", "resize", "n", "--size", "2M");
    assert_true(json_holds(changed.out, ".size_bytes == 2097152 and .public == false"));
    must_refuse(node, EXIT_REFUSED, "stored", "namespace", "resize", "n", "--size", "4");
}

static void the_exit_code_is_the_status(void)
{
    struct node *node = start_node();
    reserve(node, "taken");
    const char *file = password_file(PASSWORD);
    const struct {
        const char *type, *size, *name;
        int status;
        const char *says;
    } wrong[] = {
        {"ssd", "0", "n", EXIT_WRONG, "size"},
        {"ssd", "1M", "a/b", EXIT_WRONG, "name"},
        {"ssd", "65M", "taken", EXIT_REFUSED, "size is another"},
        {"ssd", "900T", "n", EXIT_NO_ROOM, "largest"},
        {"hdd", "1M", "n", EXIT_REFUSED, "hdd"},
    };
    for (size_t i = 0; i < array_length(wrong); i++)
        must_refuse(node, wrong[i].status, wrong[i].says, "namespace", "reserve", "--mode", "user",
                    "--type", wrong[i].type, "--size", wrong[i].size, "--name", wrong[i].name,
                    "--password-file", file);
    must_refuse(node, EXIT_WRONG, "password", "namespace", "password", "taken", "--password-file",
                password_file("*"));
    must_refuse(node, EXIT_NOT_FOUND, "none", "namespace", "lock", "none");
    must_refuse(node, EXIT_NOT_FOUND, "none", "namespace", "release", "none");
    must_refuse(node, EXIT_WRONG, "none", "zdb", "get", "none");
    must_refuse(node, EXIT_NOT_FOUND, "no pool", "zdb", "restart",
                "00000000-0000-4000-8000-000000000000");
}

static void servers_from_the_shell(void)
{
    struct node *node = start_node();
    struct command_result idle = ctl(node, "--json", "zdb", "list");
    assert_true(json_holds(idle.out, "[.instances[].state] == [\"idle\"]"));
    reserve(node, "n");
    autoreply Storage__V1__ZDBNamespace *space = get(node);
    must_refuse(node, EXIT_WRONG, "password", "namespace", "reserve", "--type", "ssd", "--size",
                "1M", "--mode", "user");

    struct command_result before = ctl(node, "--json", "zdb", "get", space->pool);
    assert_true(json_holds(before.out, ".state == \"up\" and .namespaces == 1 and .pid > 1"));
    struct command_result table = ctl(node, "zdb", "list");
    assert_non_null(strstr(table.out, space->pool));
    struct command_result status = ctl(node, "status");
    assert_non_null(strstr(status.out, "0-DB\n"));
    status = ctl(node, "--json", "status");
    assert_true(json_holds(status.out, ".healthy and (.zdb | length) == 1"));

    node_mark(node);
    (void)ctl(node, "zdb", "restart", space->pool);
    (void)watch_wait(node->watch, "zdb.up", space->pool);
    (void)watch_wait(node->watch, "namespace.live", space->id);
    struct command_result after = ctl(node, "--json", "zdb", "get", space->pool);
    assert_string_not_equal(before.out, after.out);
    autoclient struct client *client = zdbnode_enter(space, PASSWORD); /* at the same port */
}

static void events_tell_of_both(void)
{
    struct node *node = start_node();
    reserve(node, "told");
    autoreply Storage__V1__ZDBNamespace *space = get(node);
    struct command_result events =
        ctl(node, "events", "--topic", "zdb.", "--topic", "namespace.reserved");
    autofree char *up = path_format("zdb.up %s up %u", space->pool, space->port);
    autofree char *reserved =
        path_format("namespace.reserved %s told ssd 64M %s live\n", space->id, space->pool);
    assert_non_null(strstr(events.out, up));
    assert_non_null(strstr(events.out, reserved));
    events = ctl(node, "--json", "events", "--topic", "namespace.");
    assert_true(json_holds(events.out, ".zdb_namespace.name == \"told\""));
}

static void without_zdbd_it_says_so(void)
{
    struct node *node = node_create_list((struct disk *const[]){NULL});
    node_set(node, "supervisor.workers", "diskd poold");
    node_spawn(node);
    node_connect(node);
    must_refuse(node, EXIT_NOT_NOW, "runs no zdbd", "--timeout", "200ms", "namespace", "list");
    struct command_result status = ctl(node, "status");
    assert_null(strstr(status.out, "0-DB"));
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_namespace_from_the_shell),
        harness_case(a_namespace_is_changed_from_the_shell),
        harness_case(the_exit_code_is_the_status),
        harness_case(servers_from_the_shell),
        harness_case(events_tell_of_both),
        harness_case(without_zdbd_it_says_so),
    };
    return harness_main(argc, argv, "namespaces from the shell", cases, array_length(cases));
}
