/* Who may do what: a stranger nothing, the group reads, root and the admins change. */
#include "harness.h"

#include <stdio.h>
#include <sys/stat.h>

#define SSD STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD

enum { STRANGER = 4711, READER = 4712, ADMIN = 4713, EXIT_NOT_ALLOWED = 6 };

static struct node *start_node(void)
{
    struct node *node = node_create(disk_create(2 * GiB, DISK_SSD));
    autofree char *admins = path_format("%d", ADMIN);
    node_set(node, "storaged.admins", admins);
    node_start(node);
    node_wait_cache(node, true);
    return node;
}

static struct command_result ctl_as(struct node *node, uid_t uid, gid_t gid, const char *verb)
{
    struct command command = {.argv = {"storagectl", "--timeout", "1s"},
                              .uid = uid,
                              .gid = gid,
                              .run_dir = node->run_dir};
    autofree char *words = path_format("%s", verb);
    char *rest = words;
    for (size_t n = 3; (command.argv[n] = strsep(&rest, " ")); n++)
        assert_true(n < COMMAND_ARGS_MAX);
    return command_run(&command);
}

static const char *const reads[] = {"pool list", "disk list",   "space list",
                                    "capacity",  "worker list", "status"};
static const char *const changes[] = {"space reserve --type ssd --size 16M --name mine",
                                      "space release 00000000-0000-4000-8000-000000000000",
                                      "worker reset poold", "worker restart diskd"};

static void the_run_directory_is_the_groups(void)
{
    struct node *node = start_node();
    struct stat st;
    assert_int_equal(stat(node->run_dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 02750);
    assert_int_equal(st.st_gid, HARNESS_GID);
    const char *const sockets[] = {"control.sock", "diskd.sock", "diskd.events", "poold.sock",
                                   "poold.events"};
    for (size_t i = 0; i < array_length(sockets); i++) {
        autofree char *path = path_format("%s/%s", node->run_dir, sockets[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0660);
        assert_int_equal(st.st_gid, HARNESS_GID);
    }
}

static void a_stranger_gets_nothing(void)
{
    struct node *node = start_node();
    for (size_t i = 0; i < array_length(reads); i++)
        assert_int_not_equal(ctl_as(node, STRANGER, STRANGER, reads[i]).status, 0);
    for (size_t i = 0; i < array_length(changes); i++)
        assert_int_not_equal(ctl_as(node, STRANGER, STRANGER, changes[i]).status, 0);
}

static void the_group_reads_and_changes_nothing(void)
{
    struct node *node = start_node();
    for (size_t i = 0; i < array_length(reads); i++) {
        struct command_result result = ctl_as(node, READER, HARNESS_GID, reads[i]);
        if (result.status != 0)
            fail_msg("%s: %d: %s", reads[i], result.status, result.err);
    }
    for (size_t i = 0; i < array_length(changes); i++) {
        struct command_result result = ctl_as(node, READER, HARNESS_GID, changes[i]);
        assert_int_equal(result.status, EXIT_NOT_ALLOWED);
    }
    assert_int_equal(ctl_as(node, READER, HARNESS_GID, "shutdown").status, EXIT_NOT_ALLOWED);
    autoerr struct err err = {0};
    autoreply Storage__V1__SpaceListReply *list = NULL;
    assert_ok(call_spaces(node->storage, &list, &err), &err);
    assert_int_equal(list->n_spaces, 0);
}

static void an_admin_changes_and_owns_what_he_reserves(void)
{
    struct node *node = start_node();
    for (size_t i = 0; i < array_length(changes); i++) {
        struct command_result result = ctl_as(node, ADMIN, HARNESS_GID, changes[i]);
        if (result.status != 0)
            fail_msg("%s: %d: %s", changes[i], result.status, result.err);
    }
    autoerr struct err err = {0};
    autoreply Storage__V1__SpaceListReply *list = NULL;
    assert_ok(call_spaces(node->storage, &list, &err), &err);
    assert_int_equal(list->n_spaces, 1);
    struct stat st;
    assert_int_equal(stat(list->spaces[0]->path, &st), 0);
    assert_int_equal(st.st_uid, ADMIN);
    assert_int_equal(st.st_gid, HARNESS_GID);
    /* And he can reach it: the way there is open, but not readable. */
    struct command touch = {.argv = {"touch", list->spaces[0]->path}, .uid = ADMIN, .gid = ADMIN};
    touch.argv[1] = path_format("%s/file", list->spaces[0]->path);
    assert_int_equal(command_run(&touch).status, 0);
    free((char *)(uintptr_t)touch.argv[1]);
    struct command spy = {.argv = {"ls", node->mount_root}, .uid = STRANGER, .gid = STRANGER};
    spy.argv[1] = list->spaces[0]->path;
    assert_int_not_equal(command_run(&spy).status, 0);
}

static void without_the_group_root_alone_connects(void)
{
    struct node *node = node_create(disk_create(2 * GiB, DISK_SSD));
    node_set(node, "storaged.group", "no-such-group");
    node_start(node);
    node_wait_cache(node, true);
    assert_int_not_equal(ctl_as(node, READER, HARNESS_GID, "pool list").status, 0);
    assert_int_equal(node_ctl(node, "pool", "list").status, 0);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(the_run_directory_is_the_groups),
        harness_case(a_stranger_gets_nothing),
        harness_case(the_group_reads_and_changes_nothing),
        harness_case(an_admin_changes_and_owns_what_he_reserves),
        harness_case(without_the_group_root_alone_connects),
    };
    return harness_main(argc, argv, "access", cases, array_length(cases));
}
