/* See the header. */
#include "foreign.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

enum { KEYS = 40, FILES = 3, VALUE = 5000, KEY_MAX = 16 };

/* ---- the directory ---- */

void foreign_init(struct server *foreign)
{
    autofree char *dir = path_format("%s/foreign-XXXXXX", harness_dir());
    assert_non_null(mkdtemp(dir));
    server_init(foreign, dir);
}

static struct peer_key key_of(char text[KEY_MAX], unsigned n)
{
    int size = snprintf(text, KEY_MAX, "key-%u", n);
    return (struct peer_key){text, (uint8_t)size};
}

static void add(struct peer_ns *ns, unsigned n, unsigned round)
{
    uint8_t value[VALUE];
    char key[KEY_MAX];
    memset(value, (int)(n * 7 + round), sizeof value);
    uint32_t size = VALUE - n % 50;
    if (ns->mode == PEER_USER)
        peer_set(ns, key_of(key, n), value, size, 1700000000 + round);
    else
        (void)peer_seq_add(ns, value, size, 1700000000 + round);
}

void foreign_make_over(struct peer_ns *ns, const char *name, enum peer_mode mode, unsigned n_pairs)
{
    char key[KEY_MAX];
    peer_ns_init(ns, name, mode, PEER_UPSTREAM);
    (void)snprintf(ns->password, sizeof ns->password, "%s", PASSWORD);
    ns->maxsize = 16 * MiB;
    ns->is_public = false;
    for (unsigned round = 0; round < n_pairs; round++) {
        if (round > 0)
            peer_rotate(ns);
        for (unsigned n = 0; n < KEYS; n += round + 1)
            add(ns, n, round);
    }
    if (mode == PEER_USER)
        peer_delete(ns, key_of(key, 5), 1700000009);
    else
        peer_seq_delete(ns, 5, 1700000009);
}

void foreign_make(struct peer_ns *ns, const char *name, enum peer_mode mode)
{
    foreign_make_over(ns, name, mode, FILES);
}

void foreign_write(const struct server *foreign, const char *name, enum peer_mode mode)
{
    struct peer_ns ns;
    foreign_make(&ns, name, mode);
    assert_true(peer_save(&ns, foreign->index, foreign->data));
    peer_ns_free(&ns);
}

char *foreign_checksum(const struct server *foreign)
{
    autofree char *script =
        path_format("cd %s && find data index -printf '%%p %%U %%m %%s %%l\\n' | sort && "
                    "find data index -type f -print0 | sort -z | xargs -0 sha256sum",
                    foreign->dir);
    struct command command = {.argv = {"sh", "-c", script}};
    struct command_result result = command_run(&command);
    assert_int_equal(result.status, 0);
    return path_format("%s", result.out);
}

/* ---- what is served ---- */

static void must_get(struct client *client, struct word key, const uint8_t *value, uint32_t size)
{
    const struct word words[] = {word("GET"), key};
    size_t n = 0;
    assert_true(client_send_words(client, words, array_length(words)));
    const uint8_t *reply = client_reply(client, &n);
    assert_non_null(reply);
    if (!value) {
        assert_int_equal(n, 5);
        assert_memory_equal(reply, "$-1\r\n", 5);
        return;
    }
    autofree char *head = path_format("$%u\r\n", size);
    assert_int_equal(n, strlen(head) + size + 2);
    assert_memory_equal(reply, head, strlen(head));
    assert_memory_equal(reply + strlen(head), value, size);
}

void foreign_must_be_served(const Storage__V1__ZDBNamespace *space, const struct peer_ns *ns)
{
    struct client *client = zdbnode_enter(space, PASSWORD);
    unsigned n_keys = ns->mode == PEER_USER ? KEYS + 1 : FILES * KEYS;
    for (unsigned n = 0; n < n_keys; n++) {
        char text[KEY_MAX];
        uint64_t id = n;
        struct peer_key key =
            ns->mode == PEER_USER ? key_of(text, n) : (struct peer_key){&id, (uint8_t)sizeof id};
        const uint8_t *value = NULL;
        uint32_t size = 0;
        if (!peer_get(ns, key, &value, &size))
            value = NULL;
        must_get(client, (struct word){key.at, key.size}, value, size);
    }
    client_close(client);
}

/* ---- imports ---- */

int foreign_call_import(struct node *node, struct storage *storage, const struct server *foreign,
                        bool dry_run, Storage__V1__ZDBImportReply **out_reply, struct err *err)
{
    Storage__V1__ZDBImportRequest request = STORAGE__V1__ZDBIMPORT_REQUEST__INIT;
    autofree char *pool = zdbnode_only_pool(node);
    request.pool = pool;
    request.data_path = (char *)(uintptr_t)foreign->data;
    request.index_path = (char *)(uintptr_t)foreign->index;
    request.dry_run = dry_run;
    return storage_call(storage, "storage.v1.ZDBService/Import", &request, out_reply, err);
}

Storage__V1__ZDBImportReply *foreign_import(struct node *node, const struct server *foreign)
{
    autoerr struct err err = {0};
    Storage__V1__ZDBImportReply *reply = NULL;
    assert_ok(foreign_call_import(node, node->storage, foreign, false, &reply, &err), &err);
    return reply;
}

const Storage__V1__ZDBNamespace *foreign_find(const Storage__V1__ZDBImportReply *reply,
                                              const char *name)
{
    for (size_t i = 0; i < reply->n_imported; i++)
        if (strcmp(reply->imported[i]->zdb_name, name) == 0)
            return reply->imported[i];
    for (size_t i = 0; i < reply->n_left; i++)
        if (strcmp(reply->left[i]->name, name) == 0)
            fail_msg("%s was left: %s", name, reply->left[i]->reason);
    fail_msg("%s was not found", name);
    return NULL;
}

void foreign_must_be_left(const Storage__V1__ZDBImportReply *reply, const char *name,
                          const char *why)
{
    for (size_t i = 0; i < reply->n_left; i++)
        if (strcmp(reply->left[i]->name, name) == 0 && strstr(reply->left[i]->reason, why))
            return;
    for (size_t i = 0; i < reply->n_left; i++)
        print_error("%s: %s\n", reply->left[i]->name, reply->left[i]->reason);
    fail_msg("%s was not left with \"%s\"", name, why);
}

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names;
}

/* What a 0-db has of its own apart. Nothing may hold the directory when an assertion fails. */
static void must_hold(const char *path, const char *const *names)
{
    static const char *const own[] = {".", "..", ".lockfile", "default", "storaged-canary", NULL};
    char stranger[NAME_MAX + 1] = "";
    size_t n = 0, wanted = 0;
    DIR *dir = opendir(path);
    assert_true(dir || errno == ENOENT);
    for (const struct dirent *entry; dir && (entry = readdir(dir));) {
        if (is_one_of(entry->d_name, own))
            continue;
        if (!is_one_of(entry->d_name, names))
            (void)snprintf(stranger, sizeof stranger, "%s", entry->d_name);
        n++;
    }
    if (dir)
        (void)closedir(dir);
    while (names[wanted])
        wanted++;
    if (*stranger || n != wanted)
        fail_msg("%s holds %zu, not %zu: %s", path, n, wanted, stranger);
}

void foreign_must_hold(const struct node *node, const char *pool, const char *const *names)
{
    static const char *const none[] = {NULL};
    autofree char *data = poolnode_path(node, pool, "zdb/data/data");
    autofree char *index = poolnode_path(node, pool, "zdb/data/index");
    autofree char *import = poolnode_path(node, pool, "zdb/data/import");
    must_hold(data, names);
    must_hold(index, names);
    must_hold(import, none);
}
