/* The filesystem is a detached tmpfs; as nobody in particular, one of a user namespace. */
#include "zdb_files.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "load.h"
#include "store.h"
#include "sync.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static struct {
    int data, index;
} dirs = {-1, -1};

static const struct ns_config config = {.datasize = 1 << 20, .mixed = true};

static int make_tmpfs(void)
{
    int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (context < 0)
        return -1;
    int root = -1;
    if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        root = fsmount(context, FSMOUNT_CLOEXEC, 0);
    (void)close(context);
    return root;
}

static int open_dir(int root, const char *name)
{
    fuzz_check(mkdirat(root, name, 0700) == 0);
    int dir = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fuzz_check(dir >= 0);
    return dir;
}

static void prepare(void)
{
    if (dirs.data >= 0)
        return;
    log_init("fuzz", getenv("ZDBLOG") ? LOG_DEBUG : LOG_ERROR + 1);
    int root = make_tmpfs();
    if (root < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0)
        root = make_tmpfs();
    fuzz_check(root >= 0);
    dirs.data = open_dir(root, "data");
    dirs.index = open_dir(root, "index");
    (void)close(root);
}

void zdb_files_put(char letter, uint32_t id, const struct peer_bytes *bytes)
{
    char name[16];
    prepare();
    int dir = letter == 'd' ? dirs.data : dirs.index;
    (void)snprintf(name, sizeof name, "%c%u", letter, id);
    (void)unlinkat(dir, name, 0);
    if (!bytes)
        return;
    autoclose int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    fuzz_check(fd >= 0 && write(fd, bytes->at, bytes->size) == (ssize_t)bytes->size);
}

static void clear_dir(int dir)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    autodir DIR *stream = fdopendir(copy);
    fuzz_check(stream != NULL);
    for (struct dirent *entry; (entry = readdir(stream));)
        if (entry->d_name[0] != '.')
            (void)unlinkat(dir, entry->d_name, 0);
}

void zdb_files_clear(void)
{
    prepare();
    clear_dir(dirs.data);
    clear_dir(dirs.index);
}

void zdb_files_model(enum peer_mode mode, struct peer_ns *out_ns)
{
    peer_ns_init(out_ns, "fuzz", mode, PEER_EMBEDDED);
    if (mode == PEER_SEQ) {
        (void)peer_seq_add(out_ns, "one", 3, 1);
        (void)peer_seq_add(out_ns, "two", 3, 2);
        peer_seq_update(out_ns, 0, "three", 5, 3);
        peer_seq_delete(out_ns, 1, 4);
        peer_rotate(out_ns);
        (void)peer_seq_add(out_ns, "four", 4, 5);
        peer_seq_update(out_ns, 0, "", 0, 6);
        (void)peer_seq_add(out_ns, "six", 3, 7);
        return;
    }
    peer_set(out_ns, peer_key("a"), "one", 3, 1);
    peer_set(out_ns, peer_key("bb"), "two", 3, 2);
    peer_set(out_ns, peer_key("a"), "three", 5, 3);
    peer_delete(out_ns, peer_key("bb"), 4);
    peer_set(out_ns, peer_key("c"), "four", 4, 5);
    peer_rotate(out_ns);
    peer_set(out_ns, peer_key("c"), "", 0, 6);
    peer_set(out_ns, peer_key("d"), "five", 4, 7);
    peer_set(out_ns, peer_key("a"), "six", 3, 8);
}

/* --- loading --------------------------------------------------------------------------------- */

static bool load(enum peer_mode mode, struct ns *ns)
{
    autoerr struct err err = {0};
    *ns = (struct ns){.name = "fuzz",
                      .mode = mode == PEER_SEQ ? FORMAT_SEQ : FORMAT_USER,
                      .config = &config,
                      .data_dir = dirs.data,
                      .index_dir = dirs.index};
    int rc = load_namespace(ns, &err);
    if (rc == 0)
        return true;
    fuzz_check_refusal(rc, &err);
    ns_unload(ns);
    return false;
}

enum { VALUE_MAX = 1 << 17, KEYS_MAX = 32 };

struct value {
    struct peer_key key;
    bool readable, deleted;
    uint32_t size, sum;
};

static void read_value(struct ns *ns, struct value *value, uint8_t *payload)
{
    struct store_entry entry;
    struct peer_key key = value->key;
    value->readable = store_find(ns, key.at, key.size, &entry) == STORE_OK &&
                      entry.length <= VALUE_MAX &&
                      store_read(ns, &entry, key.at, key.size, payload) == STORE_OK;
    value->size = value->readable ? entry.length : 0;
    value->sum = peer_crc(payload, value->size);
}

static bool is_same_key(struct peer_key a, struct peer_key b)
{
    return a.size == b.size && memcmp(a.at, b.at, a.size) == 0;
}

/* The keys of the model, each once. */
static size_t collect(const struct peer_ns *model, struct value values[KEYS_MAX])
{
    size_t n = 0;
    for (uint32_t file = 0; file < model->n_files; file++) {
        struct peer_data_entry entry;
        uint32_t offset = PEER_DATA_HEADER;
        while (n < KEYS_MAX && peer_data_next(&model->data[file], &offset, &entry) == 1) {
            struct peer_key key = {entry.key, entry.key_size};
            size_t i = 0;
            while (i < n && !is_same_key(values[i].key, key))
                i++;
            if (i == n)
                values[n++] = (struct value){.key = key};
        }
    }
    return n;
}

static void check_all(struct ns *ns, const struct value *values, size_t n, uint8_t *payload)
{
    for (size_t i = 0; i < n; i++) {
        struct value now = values[i];
        read_value(ns, &now, payload);
        fuzz_check(!values[i].deleted || !now.readable);
        fuzz_check(!values[i].readable ||
                   (now.readable && now.size == values[i].size && now.sum == values[i].sum));
    }
}

/* --- writing --------------------------------------------------------------------------------- */

/* Whatever was there under the key. */
static void set(struct ns *ns, struct value *value, const char *text, bool existing)
{
    struct store_write write = {.key = value->key.at,
                                .key_size = value->key.size,
                                .value = text,
                                .length = (uint32_t)strlen(text),
                                .time = 99};
    static uint64_t id;
    struct store_entry entry;
    fuzz_check(!existing || store_find(ns, value->key.at, value->key.size, &entry) == STORE_OK);
    enum store_status status = store_set(ns, &write, existing ? &entry : NULL, &id);
    fuzz_check(status == STORE_OK || status == STORE_UNCHANGED);
    if (write.key_size == 0)
        value->key = (struct peer_key){&id, sizeof id};
    value->readable = true;
    value->size = write.length;
    value->sum = peer_crc(text, write.length);
}

static void delete (struct ns *ns, struct value *value)
{
    struct store_entry entry;
    fuzz_check(store_find(ns, value->key.at, value->key.size, &entry) == STORE_OK);
    fuzz_check(store_delete(ns, value->key.at, value->key.size, &entry, 99) == STORE_OK);
    value->readable = false;
    value->deleted = true;
}

/* The first key that can be read gets another value, the next one goes, and one comes. */
static size_t change(struct ns *ns, struct value values[KEYS_MAX + 1], size_t n)
{
    unsigned readable = 0;
    for (size_t i = 0; i < n; i++) {
        if (!values[i].readable)
            continue;
        if (readable == 0)
            set(ns, &values[i], "", true);
        else if (readable == 1)
            delete (ns, &values[i]);
        readable++;
    }
    bool seq = ns->mode == FORMAT_SEQ;
    struct store_entry entry;
    values[n] = (struct value){.key = {"new", seq ? 0 : 3}};
    set(ns, &values[n], "what is new", !seq && store_find(ns, "new", 3, &entry) == STORE_OK);
    fuzz_check(sync_now(ns) == 0);
    return n + 1;
}

void zdb_files_load(enum peer_mode mode, const struct peer_ns *model, zdb_files_check check)
{
    static uint8_t payload[VALUE_MAX];
    struct value values[KEYS_MAX + 1];
    struct ns ns;
    prepare();
    size_t n = collect(model, values);
    for (unsigned life = 0; life < 4; life++) {
        if (!load(mode, &ns)) {
            fuzz_check(life == 0);
            return;
        }
        check_all(&ns, values, life == 0 ? 0 : n, payload);
        for (size_t i = 0; i < n && life < 2; i++) {
            read_value(&ns, &values[i], payload);
            if (values[i].readable && check)
                check(model, values[i].key, payload, values[i].size);
        }
        if (life == 1) {
            n = change(&ns, values, n);
            check_all(&ns, values, n, payload);
        }
        ns_unload(&ns);
    }
}
