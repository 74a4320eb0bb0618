/*
 * Passwords, the admin's and those of namespaces: after all that is done with them, and all that
 * goes wrong meanwhile, they stand in no reply, event, log, argument or environment, and in no file
 * but those that keep them.
 */
#include "zdbnode.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define DISK_BYTES (2 * GiB)
#define FIRST      "tell-nobody-first"
#define SECOND     "tell-nobody-second"
#define REFUSED    "tell-nobody-refused"
#define COMMON     "tell-nobody" /* of the three */

enum { ADMIN_LENGTH = 64 };

static char admin[ADMIN_LENGTH + 1];

/* ---- where it must not be ---- */

static void must_hide(const void *bytes, size_t size, const char *where)
{
    if (memmem(bytes, size, COMMON, strlen(COMMON)))
        fail_msg("the password of a namespace stands in %s", where);
    if (*admin && memmem(bytes, size, admin, ADMIN_LENGTH))
        fail_msg("the admin's password stands in %s", where);
}

static void must_hide_in_file(const char *path)
{
    size_t size;
    autofree char *text = file_try_read(path, &size);
    if (text)
        must_hide(text, size, path);
}

static void must_hide_in_error(const struct err *err, const char *where)
{
    must_hide(err->message, strlen(err->message), where);
    for (size_t i = 0; i < err->n_blockers; i++)
        must_hide(err->blockers[i], strlen(err->blockers[i]), where);
}

static void must_hide_in_message(const ProtobufCMessage *message, const char *where)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    autofree uint8_t *packed = malloc(size + 1);
    assert_non_null(packed);
    must_hide(packed, protobuf_c_message_pack(message, packed), where);
}

static void must_hide_in_events(const struct watch *watch)
{
    assert_true(watch_count(watch) > 0);
    for (size_t i = 0; i < watch_count(watch); i++)
        must_hide_in_message(&watch_at(watch, i)->base, "an event");
}

/* Those of the sandbox, this test among them. */
static void must_hide_in_processes(void)
{
    unsigned n = 0;
    autodir DIR *proc = opendir("/proc");
    assert_non_null(proc);
    for (const struct dirent *entry; (entry = readdir(proc));) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        autofree char *cmdline = path_format("/proc/%s/cmdline", entry->d_name);
        autofree char *environ = path_format("/proc/%s/environ", entry->d_name);
        must_hide_in_file(cmdline);
        must_hide_in_file(environ);
        n++;
    }
    assert_true(n > 4);
}

/* Whatever plain files are below, but for those of this name, which are the owner's alone. */
static void must_hide_below(const char *path, const char *but)
{
    autodir DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        struct stat status;
        autofree char *below = path_format("%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            lstat(below, &status) < 0)
            continue;
        if (S_ISDIR(status.st_mode))
            must_hide_below(below, but);
        else if (S_ISREG(status.st_mode) && strcmp(entry->d_name, but) == 0)
            assert_int_equal(status.st_mode & 0377, 0);
        else if (S_ISREG(status.st_mode))
            must_hide_in_file(below);
    }
}

static void must_hide_in_command(const struct node *node, const char *const *args)
{
    struct command_result result = node_ctl_list(node, args);
    assert_int_equal(result.status, 0);
    must_hide(result.out, strlen(result.out), "the output of storagectl");
    must_hide(result.err, strlen(result.err), "the errors of storagectl");
}

/* ---- what is done ---- */

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

/* The reply is left to be freed. */
static void *call(struct node *node, const char *method, const void *request)
{
    autoerr struct err err = {0};
    void *reply = NULL;
    (void)storage_call(node->storage, method, request, &reply, &err);
    if (reply)
        must_hide_in_message(reply, method);
    else
        must_hide_in_error(&err, method);
    return reply;
}

static Storage__V1__ZDBNamespace *reserve(struct node *node, const char *name, const char *password)
{
    Storage__V1__NamespaceReserveRequest request = zdbnode_request(name, MiB);
    request.password = bytes_of(password);
    return call(node, "storage.v1.NamespaceService/Reserve", &request);
}

static void set_password(struct node *node, char *id, ProtobufCBinaryData password)
{
    Storage__V1__NamespaceSetPasswordRequest request =
        STORAGE__V1__NAMESPACE_SET_PASSWORD_REQUEST__INIT;
    request.id = id;
    request.password = password;
    storage_free(call(node, "storage.v1.NamespaceService/SetPassword", &request));
}

static void ask_for_all(struct node *node, char *id)
{
    Storage__V1__NamespaceListRequest list = STORAGE__V1__NAMESPACE_LIST_REQUEST__INIT;
    Storage__V1__NamespaceGetRequest get = STORAGE__V1__NAMESPACE_GET_REQUEST__INIT;
    Storage__V1__NamespaceUsageRequest usage = STORAGE__V1__NAMESPACE_USAGE_REQUEST__INIT;
    Storage__V1__ZDBListRequest zdbs = STORAGE__V1__ZDBLIST_REQUEST__INIT;
    Storage__V1__ListBookingsRequest bookings = STORAGE__V1__LIST_BOOKINGS_REQUEST__INIT;
    Storage__V1__ListPoolsRequest pools = STORAGE__V1__LIST_POOLS_REQUEST__INIT;
    get.id = usage.id = id;
    storage_free(call(node, "storage.v1.NamespaceService/List", &list));
    storage_free(call(node, "storage.v1.NamespaceService/Get", &get));
    storage_free(call(node, "storage.v1.NamespaceService/Usage", &usage));
    storage_free(call(node, "storage.v1.ZDBService/List", &zdbs));
    storage_free(call(node, "storage.v1.BookingService/ListBookings", &bookings));
    storage_free(call(node, "storage.v1.PoolService/ListPools", &pools));
}

static void ask_from_the_shell(const struct node *node, const char *id, const char *pool)
{
    const char *const commands[][6] = {
        {"namespace", "list"},           {"namespace", "get", id},   {"namespace", "usage", id},
        {"--json", "namespace", "list"}, {"--json", "zdb", "list"},  {"zdb", "get", pool},
        {"--json", "worker", "list"},    {"--json", "pool", "list"},
    };
    for (size_t i = 0; i < array_length(commands); i++)
        must_hide_in_command(node, commands[i]);
}

/* What any client may ask its 0-db. */
static void ask_the_0_db(const Storage__V1__ZDBNamespace *space)
{
    static const char *const commands[][2] = {{"NSINFO", NULL}, {"INFO", ""}, {"NSLIST", ""}};
    struct client *client = zdbnode_enter(space, SECOND);
    for (size_t i = 0; i < array_length(commands); i++) {
        const char *argument = commands[i][1] ? commands[i][1] : space->id;
        const struct word words[] = {word(commands[i][0]), word(argument)};
        size_t size;
        assert_true(client_send_words(client, words, *argument ? 2 : 1));
        const uint8_t *reply = client_reply(client, &size);
        assert_non_null(reply);
        must_hide(reply, size, commands[i][0]);
    }
    client_close(client);
}

static void read_admin(const struct node *node, const char *pool)
{
    size_t size;
    autofree char *path = path_format("%s/zdb/%s/password", node->run_dir, pool);
    autofree char *text = file_read(path, &size);
    assert_in_range(size, ADMIN_LENGTH, ADMIN_LENGTH + 1);
    memcpy(admin, text, ADMIN_LENGTH);
    assert_int_equal(strspn(admin, "0123456789abcdef"), ADMIN_LENGTH);
}

static void no_password_is_seen_anywhere(void)
{
    struct node *node =
        zdbnode_create_list((struct disk *const[]){disk_create(DISK_BYTES, DISK_SSD), NULL});
    node_set(node, "storaged.log_level", "debug");
    node_start(node);
    node_wait_cache(node, true);
    autoreply Storage__V1__ZDBNamespace *made = reserve(node, "mine", FIRST);
    assert_non_null(made);
    read_admin(node, made->pool);
    assert_null(reserve(node, "mine/not", REFUSED)); /* a name that is refused */
    storage_free(reserve(node, "mine", SECOND));     /* it is there already */
    set_password(node, made->id, bytes_of(SECOND));
    set_password(node, made->id, (ProtobufCBinaryData){sizeof REFUSED, (uint8_t *)REFUSED});
    set_password(node, made->pool, bytes_of(REFUSED)); /* there is no such namespace */
    ask_the_0_db(made);

    autoreply Storage__V1__ZDBInstance *instance = zdbnode_instance(node, NULL);
    node_mark(node);
    assert_int_equal(kill((pid_t)instance->pid, SIGKILL), 0);
    set_password(node, made->id, bytes_of(SECOND)); /* of one that is down, or just not yet */
    (void)watch_wait(node->watch, "zdb.up", NULL);
    zdbnode_kill_zdbd(node);
    zdbnode_wait_namespace(node, made->id, NAMESPACE(LIVE));
    ask_for_all(node, made->id);
    ask_from_the_shell(node, made->id, made->pool);

    autofree char *home = path_format("%s/%s/zdb/data/instance", node->mount_root, made->pool);
    struct stat status;
    assert_int_equal(stat(home, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    must_hide_in_events(node->watch);
    must_hide_in_processes();
    must_hide_in_file(node->log);
    must_hide_below(node->run_dir, "password");
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(no_password_is_seen_anywhere),
    };
    return harness_main(argc, argv, "zdbd_secrets", cases, array_length(cases));
}
