/*
 * The directories of another 0-db are taken over by a real node: what was written by the embedded
 * server, and by the independent writer of upstream's format, is served as it was; what cannot be
 * taken over is left, with the reason; and the source is as it was.
 */
#include "foreign.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#define DISK_BYTES (2 * GiB)

static struct server foreign;

static struct node *start_node(void)
{
    foreign_init(&foreign);
    return zdbnode_start(disk_create(DISK_BYTES, DISK_SSD));
}

/* ---- what is taken over ---- */

static void a_writers_namespaces_are_served_as_they_were(void)
{
    struct node *node = start_node();
    struct peer_ns users, ids;
    foreign_make(&users, "users", PEER_USER);
    foreign_make(&ids, "ids", PEER_SEQ);
    users.is_public = true;
    assert_true(peer_save(&users, foreign.index, foreign.data));
    assert_true(peer_save(&ids, foreign.index, foreign.data));
    autofree char *before = foreign_checksum(&foreign);
    node_mark(node);

    autoreply Storage__V1__ZDBImportReply *reply = foreign_import(node, &foreign);
    assert_int_equal(reply->n_imported, 2);
    assert_int_equal(reply->n_left, 0);
    const Storage__V1__ZDBNamespace *user = foreign_find(reply, "users");
    const Storage__V1__ZDBNamespace *id = foreign_find(reply, "ids");
    assert_int_equal(user->state, NAMESPACE(LIVE));
    assert_string_equal(user->reason, "");
    assert_int_equal(user->mode, MODE(USER));
    assert_int_equal(id->mode, MODE(SEQUENTIAL));
    assert_int_equal(user->size_bytes, users.maxsize);
    assert_true(user->public_ && !id->public_);
    foreign_must_be_served(user, &users);
    foreign_must_be_served(id, &ids);
    (void)watch_wait(node->watch, "namespace.imported", user->id);
    zdbnode_must_balance(node, 2);
    foreign_must_hold(node, user->pool, (const char *const[]){"users", "ids", NULL});
    autofree char *after = foreign_checksum(&foreign);
    assert_string_equal(before, after);

    /* They are namespaces like all others, over restarts too. */
    struct client *client = zdbnode_enter(user, PASSWORD);
    zdbnode_set(client, "new", "value");
    client_close(client);
    autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, NULL);
    node_mark(node);
    assert_int_equal(kill((pid_t)instance->pid, SIGKILL), 0);
    (void)watch_wait(node->watch, "namespace.live", user->id);
    foreign_must_be_served(user, &users);
    client = zdbnode_enter(user, PASSWORD);
    zdbnode_must_get(client, "new", "value");
    client_close(client);
    assert_true(zdbnode_release(node, id->id));
    zdbnode_must_balance(node, 1);
    foreign_must_hold(node, user->pool, (const char *const[]){"users", NULL});
    peer_ns_free(&users);
    peer_ns_free(&ids);
}

/* With values over several files, a namespace without limit and password, and one that is WORM. */
static void a_servers_namespaces_are_served_as_they_were(void)
{
    enum { VALUES = 400, VALUE = 4000 };
    char value[VALUE + 1], key[16];
    struct node *node = start_node();
    server_start_with(&foreign, "--datasize", "512k");
    struct client *client = server_connect(&foreign);
    zdbnode_say(client, "+OK", word("NSNEW"), word("open"));
    zdbnode_say(client, "+OK", word("NSNEW"), word("once"));
    zdbnode_say(client, "+OK", word("NSSET"), word("once"), word("password"), word(PASSWORD));
    zdbnode_say(client, "+OK", word("NSSET"), word("once"), word("worm"), word("1"));
    zdbnode_say(client, "+OK", word("SELECT"), word("once"), word(PASSWORD));
    zdbnode_set(client, "key", "first");
    zdbnode_say(client, "+OK", word("SELECT"), word("open"));
    for (unsigned i = 0; i < VALUES; i++) {
        (void)snprintf(key, sizeof key, "%u", i);
        memset(value, 'a' + (int)(i % 26), VALUE);
        value[VALUE] = '\0';
        zdbnode_set(client, key, value);
    }
    client_close(client);
    server_stop(&foreign);

    autoreply Storage__V1__ZDBImportReply *reply = foreign_import(node, &foreign);
    assert_int_equal(reply->n_imported, 2);
    foreign_must_be_left(reply, "default", "not handed out");
    const Storage__V1__ZDBNamespace *open = foreign_find(reply, "open");
    assert_int_equal(open->state, NAMESPACE(LIVE));
    assert_non_null(strstr(open->reason, "has no password"));
    assert_in_range(open->size_bytes, VALUES * VALUE, 2 * VALUES * VALUE);
    client = zdbnode_enter(open, "none is needed");
    for (unsigned i = 0; i < VALUES; i++) {
        (void)snprintf(key, sizeof key, "%u", i);
        memset(value, 'a' + (int)(i % 26), VALUE);
        zdbnode_must_get(client, key, value);
    }
    client_close(client);
    client = zdbnode_enter(foreign_find(reply, "once"), PASSWORD);
    zdbnode_must_get(client, "key", "first");
    zdbnode_say(client, "-Namespace is protected by worm mode", word("SET"), word("key"),
                word("second"));
    client_close(client);
    zdbnode_must_balance(node, 2);
}

/* It loads nothing but at its start. Ours stands in for it. */
static void upstreams_server_is_restarted_for_it(void)
{
    struct peer_ns users;
    foreign_init(&foreign);
    struct node *node =
        zdbnode_create_list((struct disk *const[]){disk_create(DISK_BYTES, DISK_SSD), NULL});
    node_set(node, "zdb.binary", ZDB_PROGRAM);
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__ZDBNamespace *stays = zdbnode_reserve(node, "stays", 16 * MiB);
    autoreply Storage__V1__ZDBInstance *before = zdbnode_instance(node, NULL);
    foreign_make(&users, "users", PEER_USER);
    assert_true(peer_save(&users, foreign.index, foreign.data));
    autoreply Storage__V1__ZDBImportReply *reply = foreign_import(node, &foreign);
    foreign_must_be_served(foreign_find(reply, "users"), &users);
    autoreply Storage__V1__ZDBInstance *after = zdbnode_instance(node, NULL);
    assert_int_not_equal(before->pid, after->pid);
    zdbnode_wait_namespace(node, stays->id, NAMESPACE(LIVE));
    zdbnode_must_balance(node, 2);
    peer_ns_free(&users);
}

/* An id of this node's may be derived again: it must be found then, and not made anew. */
static void what_is_named_by_an_id_keeps_it(void)
{
    static const char name[] = "12345678-1234-4234-8234-123456789abc";
    struct node *node = start_node();
    foreign_write(&foreign, name, PEER_USER);
    autoreply Storage__V1__ZDBImportReply *reply = foreign_import(node, &foreign);
    assert_string_equal(foreign_find(reply, name)->id, name);
    autoreply Storage__V1__ZDBImportReply *again = foreign_import(node, &foreign);
    foreign_must_be_left(again, name, "already");
    zdbnode_must_balance(node, 1);
}

/* ---- what is not ---- */

static void a_dry_run_changes_nothing(void)
{
    autoerr struct err err = {0};
    struct node *node = start_node();
    foreign_write(&foreign, "users", PEER_USER);
    foreign_write(&foreign, "default", PEER_USER);
    autofree char *before = foreign_checksum(&foreign);
    autoreply Storage__V1__ZDBImportReply *reply = NULL;
    assert_ok(foreign_call_import(node, node->storage, &foreign, true, &reply, &err), &err);
    assert_int_equal(reply->n_imported, 1);
    assert_int_equal(foreign_find(reply, "users")->size_bytes, 16 * MiB);
    assert_string_equal(reply->imported[0]->id, "");
    foreign_must_be_left(reply, "default", "not handed out");
    zdbnode_must_balance(node, 0);
    autofree char *home = poolnode_path(node, reply->imported[0]->pool, "zdb/data");
    assert_int_not_equal(access(home, F_OK), 0);
    autofree char *after = foreign_checksum(&foreign);
    assert_string_equal(before, after);
}

/* The file becomes a link, or is gone. */
static void spoil(const char *file, const char *link)
{
    autofree char *path = path_format("%s/%s", foreign.dir, file);
    (void)unlink(path);
    if (link)
        assert_int_equal(symlink(link, path), 0);
}

static void cut(const char *file, const char *size)
{
    autofree char *path = path_format("%s/%s", foreign.dir, file);
    command_ok("truncate", "-s", size, path);
}

static void what_cannot_be_taken_over_is_left(void)
{
    struct node *node = start_node();
    struct peer_ns large, dead;
    autofree char *half = path_format("%s/half", foreign.data);
    foreign_write(&foreign, "good", PEER_USER);
    foreign_write(&foreign, "linked", PEER_USER);
    foreign_write(&foreign, "nameless", PEER_USER);
    foreign_write(&foreign, "headless", PEER_SEQ);
    foreign_write(&foreign, "half", PEER_USER);
    foreign_write(&foreign, "torn", PEER_SEQ);
    cut("data/torn/d2", "-100");
    foreign_write(&foreign, "new\nline", PEER_USER);
    spoil("index/linked/other", "/etc/passwd");
    spoil("index/alias", "good");
    spoil("index/nameless/zdb-namespace", NULL);
    spoil("index/headless/i0", NULL);
    command_ok("rm", "-r", half);
    foreign_make(&large, "large", PEER_USER);
    large.maxsize = UINT64_C(1) << 40;
    assert_true(peer_save(&large, foreign.index, foreign.data));
    foreign_make(&dead, "dead", PEER_USER);
    dead.maxsize = 1;
    assert_true(peer_save(&dead, foreign.index, foreign.data));
    cut("data/dead/d0", "100M");
    autofree char *before = foreign_checksum(&foreign);

    autoreply Storage__V1__ZDBImportReply *reply = foreign_import(node, &foreign);
    const Storage__V1__ZDBNamespace *good = foreign_find(reply, "good");
    assert_int_equal(reply->n_imported, 1);
    foreign_must_be_left(reply, "linked", "is a link, which is not followed");
    foreign_must_be_left(reply, "alias", "which is not followed");
    foreign_must_be_left(reply, "nameless", "no descriptor");
    foreign_must_be_left(reply, "headless", "i0");
    foreign_must_be_left(reply, "half", "no directory of the data");
    foreign_must_be_left(reply, "?", "control character");
    foreign_must_be_left(reply, "large", "bytes");
    foreign_must_be_left(reply, "torn", "data file d2 is damaged");
    foreign_must_be_left(reply, "dead", "raise its maxsize");
    zdbnode_must_balance(node, 1);
    foreign_must_hold(node, good->pool, (const char *const[]){"good", NULL});

    autoreply Storage__V1__ZDBImportReply *again = foreign_import(node, &foreign);
    foreign_must_be_left(again, "good", "already");
    assert_int_equal(again->n_imported, 0);
    zdbnode_must_balance(node, 1);
    autofree char *after = foreign_checksum(&foreign);
    assert_string_equal(before, after);
    peer_ns_free(&large);
    peer_ns_free(&dead);
}

/* Its index and its data speak of other entries; and files of its name are in the home that no
 * booking speaks of. */
static void what_goes_wrong_on_the_way_leaves_nothing(void)
{
    struct peer_ns mixed;
    struct peer_index_entry entry;
    uint32_t in_file;
    struct node *node = start_node();
    autoreply Storage__V1__ZDBNamespace *stays = zdbnode_reserve(node, "stays", 16 * MiB);
    autofree char *theirs = poolnode_path(node, stays->pool, "zdb/data/index/theirs");
    autofree char *file = path_format("%s/i0", theirs);
    autofree char *data = poolnode_path(node, stays->pool, "zdb/data/data/theirs");
    assert_int_equal(mkdir(theirs, 0700), 0);
    assert_int_equal(mkdir(data, 0700), 0);
    file_write(file, "bytes", 5);
    foreign_write(&foreign, "theirs", PEER_USER);
    foreign_make(&mixed, "mixed", PEER_USER);
    assert_true(peer_find(&mixed, peer_key("key-1"), &entry, &in_file));
    entry.key = (const uint8_t *)"ghost";
    peer_index_append(&mixed.index[mixed.n_files - 1], &entry);
    assert_true(peer_save(&mixed, foreign.index, foreign.data));
    autoreply Storage__V1__ZDBImportReply *reply = foreign_import(node, &foreign);
    foreign_must_be_left(reply, "theirs", "files of that name already");
    foreign_must_be_left(reply, "mixed", "entries");
    zdbnode_must_balance(node, 1);
    foreign_must_hold(node, stays->pool, (const char *const[]){stays->id, "theirs", NULL});
    assert_int_equal(access(file, F_OK), 0);
    peer_ns_free(&mixed);
}

/* It may not have marked yet what it overwrote; at its next start it does. */
static void a_killed_servers_files_may_have_to_be_mended_first(void)
{
    struct node *node = start_node();
    server_start(&foreign, NULL);
    struct client *client = server_connect(&foreign);
    zdbnode_say(client, "+OK", word("NSNEW"), word("users"));
    zdbnode_say(client, "+OK", word("SELECT"), word("users"));
    zdbnode_set(client, "key", "first");
    zdbnode_set(client, "other", "only");
    zdbnode_set(client, "key", "second");
    server_kill(&foreign);
    client_close(client);
    Storage__V1__ZDBImportReply *reply = foreign_import(node, &foreign);
    if (reply->n_imported == 0) {
        foreign_must_be_left(reply, "users", "start and stop its own 0-db");
        zdbnode_must_balance(node, 0);
        storage_free(reply);
        server_start(&foreign, NULL);
        server_stop(&foreign);
        reply = foreign_import(node, &foreign);
    }
    client = zdbnode_enter(foreign_find(reply, "users"), "none is needed");
    zdbnode_must_get(client, "key", "second");
    zdbnode_must_get(client, "other", "only");
    client_close(client);
    storage_free(reply);
}

static void a_directory_that_is_open_is_refused(void)
{
    autoerr struct err err = {0};
    struct node *node = start_node();
    autoreply Storage__V1__ZDBImportReply *reply = NULL;
    server_start(&foreign, NULL);
    autofree char *who = path_format("process %d has", (int)foreign.pid);
    assert_refused(foreign_call_import(node, node->storage, &foreign, false, &reply, &err), &err,
                   ERR_FAILED_PRECONDITION, who);
    server_stop(&foreign);
    err_clear(&err);
    (void)snprintf(foreign.data, sizeof foreign.data, "%s", foreign.index);
    assert_refused(foreign_call_import(node, node->storage, &foreign, false, &reply, &err), &err,
                   ERR_INVALID_ARGUMENT, "a directory each");
    err_clear(&err);
    (void)snprintf(foreign.data, sizeof foreign.data, "relative");
    assert_refused(foreign_call_import(node, node->storage, &foreign, false, &reply, &err), &err,
                   ERR_INVALID_ARGUMENT, "no absolute path");
    err_clear(&err);
    (void)snprintf(foreign.data, sizeof foreign.data, "/nowhere");
    assert_refused(foreign_call_import(node, node->storage, &foreign, false, &reply, &err), &err,
                   ERR_NOT_FOUND, "/nowhere");
    err_clear(&err);
    zdbnode_must_balance(node, 0);
}

/* ---- from the shell ---- */

static void an_import_from_the_shell(void)
{
    struct node *node = start_node();
    foreign_write(&foreign, "users", PEER_USER);
    foreign_write(&foreign, "default", PEER_USER);
    autofree char *pool = zdbnode_only_pool(node);
    struct command_result result = node_ctl(node, "zdb", "import", pool, "--data", foreign.data,
                                            "--index", foreign.index, "--dry-run");
    assert_int_equal(result.status, 0);
    assert_non_null(strstr(result.out, "users"));
    zdbnode_must_balance(node, 0);
    result =
        node_ctl(node, "zdb", "import", pool, "--data", foreign.data, "--index", foreign.index);
    assert_int_equal(result.status, 0);
    const char *users = strstr(result.out, "users"), *left = strstr(result.out, "LEFT");
    assert_true(users && left && users < left && strstr(left, "not handed out"));
    zdbnode_must_balance(node, 1);
    result = node_ctl(node, "--json", "zdb", "import", pool, "--data", "/nowhere", "--index", "/");
    assert_int_equal(result.status, 3);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_writers_namespaces_are_served_as_they_were),
        harness_case(a_servers_namespaces_are_served_as_they_were),
        harness_case(upstreams_server_is_restarted_for_it),
        harness_case(what_is_named_by_an_id_keeps_it),
        harness_case(a_dry_run_changes_nothing),
        harness_case(what_cannot_be_taken_over_is_left),
        harness_case(what_goes_wrong_on_the_way_leaves_nothing),
        harness_case(a_killed_servers_files_may_have_to_be_mended_first),
        harness_case(a_directory_that_is_open_is_refused),
        harness_case(an_import_from_the_shell),
    };
    return harness_main(argc, argv, "zdbd_import", cases, array_length(cases));
}
