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
    bool readable;
    uint32_t size, sum;
};

static struct value read_value(struct ns *ns, struct peer_key key, uint8_t *payload)
{
    struct store_entry entry;
    if (store_find(ns, key.at, key.size, &entry) != STORE_OK || entry.length > VALUE_MAX ||
        store_read(ns, &entry, key.at, key.size, payload) != STORE_OK)
        return (struct value){0};
    return (struct value){true, entry.length, peer_crc(payload, entry.length)};
}

/* The keys of the model, each once per entry of it. */
static size_t collect_keys(const struct peer_ns *model, struct peer_key keys[KEYS_MAX])
{
    size_t n = 0;
    for (uint32_t file = 0; file < model->n_files; file++) {
        struct peer_data_entry entry;
        uint32_t offset = PEER_DATA_HEADER;
        while (n < KEYS_MAX && peer_data_next(&model->data[file], &offset, &entry) == 1)
            keys[n++] = (struct peer_key){entry.key, entry.key_size};
    }
    return n;
}

static bool add(struct ns *ns, uint64_t *out_id)
{
    static const char text[] = "what is new";
    bool seq = ns->mode == FORMAT_SEQ;
    struct store_write write = {.key = "new",
                                .key_size = seq ? 0 : 3,
                                .value = text,
                                .length = sizeof text - 1,
                                .time = 99};
    struct store_entry existing;
    bool exists = !seq && store_find(ns, "new", 3, &existing) == STORE_OK;
    enum store_status status = store_set(ns, &write, exists ? &existing : NULL, out_id);
    int rc = sync_now(ns);
    return (status == STORE_OK || status == STORE_UNCHANGED) && rc == 0;
}

static void check_new(struct ns *ns, uint64_t id, uint8_t *payload)
{
    struct peer_key key = {"new", 3};
    if (ns->mode == FORMAT_SEQ)
        key = (struct peer_key){&id, sizeof id};
    struct value value = read_value(ns, key, payload);
    fuzz_check(value.readable && value.size == 11 && memcmp(payload, "what is new", 11) == 0);
}

void zdb_files_load(enum peer_mode mode, const struct peer_ns *model, zdb_files_check check)
{
    static uint8_t payload[VALUE_MAX];
    struct peer_key keys[KEYS_MAX];
    struct value values[KEYS_MAX];
    struct ns ns;
    uint64_t id = 0;
    prepare();
    size_t n = collect_keys(model, keys);
    for (unsigned life = 0; life < 2; life++) {
        if (!load(mode, &ns)) {
            fuzz_check(life == 0);
            return;
        }
        for (size_t i = 0; i < n; i++) {
            values[i] = read_value(&ns, keys[i], payload);
            if (values[i].readable && check)
                check(model, keys[i], payload, values[i].size);
        }
        if (life == 0)
            ns_unload(&ns);
    }
    bool added = add(&ns, &id);
    if (added)
        check_new(&ns, id, payload);
    ns_unload(&ns);
    fuzz_check(load(mode, &ns));
    for (size_t i = 0; i < n; i++) {
        struct value after = read_value(&ns, keys[i], payload);
        fuzz_check(!values[i].readable ||
                   (after.readable && after.size == values[i].size && after.sum == values[i].sum));
    }
    if (added)
        check_new(&ns, id, payload);
    ns_unload(&ns);
}
