/* A filesystem of 64 MiB that fills up under the server, and gets room again. */
#include "harness.h"
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { VALUE = 60000, KEYS_MAX = 4096, SMALL = 100 };

/* What was acknowledged: the seed of each key's value, or NONE. */
enum { NONE = 0 };
static uint32_t values[KEYS_MAX];
static uint32_t sizes[KEYS_MAX];

static struct server zdb;
static struct client *client;
static uint8_t payload[VALUE];

static void fill_payload(uint32_t seed, uint32_t size)
{
    uint32_t state = seed;
    for (uint32_t i = 0; i < size; i++) {
        state = state * 1664525u + 1013904223u;
        payload[i] = (uint8_t)(state >> 24);
    }
}

static const uint8_t *request(const char *command, uint32_t key, const uint8_t *value,
                              uint32_t value_size, size_t *out_size)
{
    char name[16];
    (void)snprintf(name, sizeof name, "key-%u", key);
    const struct word words[] = {word(command), word(name), {value, value_size}};
    assert_true(client_send_words(client, words, value ? 3 : 2));
    const uint8_t *reply = client_reply(client, out_size);
    if (!reply) {
        server_print_log(&zdb);
        fail_msg("the connection ended at %s %s", command, name);
    }
    return reply;
}

/* True if it was acknowledged; else it was refused with an error. */
static bool set(uint32_t key, uint32_t seed, uint32_t size)
{
    size_t got;
    fill_payload(seed, size);
    const uint8_t *reply = request("SET", key, payload, size, &got);
    if (reply[0] == '-')
        return false;
    assert_int_equal(reply[0], '$');
    values[key] = seed;
    sizes[key] = size;
    return true;
}

static void delete (uint32_t key)
{
    size_t got;
    const uint8_t *reply = request("DEL", key, NULL, 0, &got);
    if (got != 5 || memcmp(reply, "+OK\r\n", 5) != 0)
        fail_msg("DEL key-%u on a full disk: %.*s", key, (int)got, (const char *)reply);
    values[key] = NONE;
}

static void check_all(const char *when)
{
    for (uint32_t key = 0; key < KEYS_MAX; key++) {
        size_t got;
        const uint8_t *reply = request("GET", key, NULL, 0, &got);
        char head[32];
        size_t n = (size_t)snprintf(head, sizeof head, "$%u\r\n", sizes[key]);
        fill_payload(values[key], sizes[key]);
        bool right = values[key] == NONE
                         ? got == 5 && memcmp(reply, "$-1\r\n", 5) == 0
                         : got == n + sizes[key] + 2 && memcmp(reply, head, n) == 0 &&
                               memcmp(reply + n, payload, sizes[key]) == 0;
        if (!right)
            fail_msg("%s: key-%u (%u bytes) has: %.*s", when, key,
                     values[key] == NONE ? 0 : sizes[key], got < 60 ? (int)got : 60,
                     (const char *)reply);
    }
}

static void start(const char *const *flags)
{
    server_start(&zdb, flags);
    client = server_connect(&zdb);
}

static void stop(void)
{
    client_close(client);
    client = NULL;
    server_stop(&zdb);
}

/* Until nothing more goes in, not even small values. The larger ones go first: each is synced. */
static uint32_t fill_up(uint32_t from)
{
    static const uint32_t steps[] = {VALUE, VALUE / 10, VALUE / 100, SMALL};
    uint32_t key = from;
    for (size_t step = 0; step < array_length(steps); step++) {
        unsigned most = steps[step] == SMALL ? 50 : 1;
        for (unsigned refused = 0; refused < most && key < KEYS_MAX;)
            if (set(key, key + 1, steps[step]))
                key++;
            else
                refused++;
    }
    assert_in_range(key, from + 1, KEYS_MAX - 1);
    return key;
}

/* A file beside the server's: its end is room. */
static void ballast(const char *dir, size_t size)
{
    autofree char *path = path_format("%s/ballast", dir);
    if (size == 0) {
        assert_int_equal(unlink(path), 0);
        return;
    }
    void *zeroes = calloc(1, size);
    assert_non_null(zeroes);
    file_write(path, zeroes, size);
    free(zeroes);
}

static void fills_up_and_gets_room(const char *dir, const char *const *flags)
{
    memset(values, 0, sizeof values);
    server_init(&zdb, dir);
    ballast(dir, 8 * MiB);
    start(flags);
    for (uint32_t key = 0; key < 40; key++)
        assert_true(set(key, key + 1, SMALL));
    uint32_t end = fill_up(40);
    assert_true(server_runs(&zdb));
    check_all("full");
    for (uint32_t key = 0; key < 20; key++) /* what is refused leaves what was there */
        (void)set(key, key + 1000, VALUE);
    check_all("full, after overwrites");
    for (uint32_t key = 10; key < 30; key++)
        delete (key);
    check_all("full, after deletes");
    stop();
    start(flags);
    check_all("full, started again");
    ballast(dir, 0);
    for (uint32_t key = 10; key < 50; key++) /* there is room */
        assert_true(set(key, key + 5000, VALUE));
    check_all("with room");
    client_close(client);
    server_kill(&zdb);
    start(flags);
    check_all("with room, started again");
    (void)fill_up(end);
    check_all("full again");
    stop();
    struct peer_ns back;
    server_read_back(&zdb, "default", &back);
    peer_ns_free(&back);
}

static char *make_tmpfs(const char *name)
{
    char *dir = path_format("%s/%s", harness_dir(), name);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(mount("tmpfs", dir, "tmpfs", 0, "size=64m,mode=0700"), 0);
    return dir;
}

static void a_full_tmpfs_tears_nothing(void)
{
    autofree char *dir = make_tmpfs("large-files");
    fills_up_and_gets_room(dir, NULL);
    assert_int_equal(umount2(dir, 0), 0);
}

/* Small files: it is the rotation that finds no room. */
static void a_full_tmpfs_at_a_rotation_tears_nothing(void)
{
    autofree char *dir = make_tmpfs("small-files");
    static const char *const flags[] = {"--datasize", "512K", NULL};
    fills_up_and_gets_room(dir, flags);
    assert_int_equal(umount2(dir, 0), 0);
}

/* Of a real filesystem, where blocks are promised late. */
static void a_full_disk_tears_nothing(void)
{
    struct disk *disk = disk_create(64 * MiB, DISK_SSD);
    autofree char *dir = path_format("%s/disk", harness_dir());
    command_ok("mkfs.ext4", "-q", "-m", "0", "-E", "nodiscard", disk->path);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(mount(disk->path, dir, "ext4", 0, NULL), 0);
    static const char *const flags[] = {"--datasize", "16M", "--sync", NULL};
    fills_up_and_gets_room(dir, flags);
    assert_int_equal(umount2(dir, 0), 0);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(a_full_tmpfs_tears_nothing),
        harness_case(a_full_tmpfs_at_a_rotation_tears_nothing),
        harness_case(a_full_disk_tears_nothing),
    };
    return harness_main(argc, argv, "zdb_full", cases, array_length(cases));
}
