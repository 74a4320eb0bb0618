/* See the header. A client's thread owns its slots; lines and clock are the lock's. */
#include "powerload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SSD STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD

uint64_t dice(uint64_t *random, uint64_t sides)
{
    *random ^= *random << 13; /* xorshift64: Marsaglia, 2003 */
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random % sides;
}

/* ---- the book ---- */

static uint64_t stamp_locked(struct load *load, uint64_t *out_stamp)
{
    *out_stamp = ++load->clock;
    (void)pthread_cond_broadcast(&load->ticked);
    return *out_stamp;
}

static void stamp(struct load *load, uint64_t *out_stamp)
{
    (void)pthread_mutex_lock(&load->lock);
    (void)stamp_locked(load, out_stamp);
    (void)pthread_mutex_unlock(&load->lock);
}

uint64_t load_stamp(struct load *load, uint64_t n)
{
    uint64_t now;
    (void)pthread_mutex_lock(&load->lock);
    for (uint64_t until = load->clock + n; load->clock < until && !*load->trouble;)
        (void)pthread_cond_wait(&load->ticked, &load->lock);
    (void)stamp_locked(load, &now);
    (void)pthread_mutex_unlock(&load->lock);
    return now;
}

static void trouble(struct load *load, const char *what, const char *name, const char *why)
{
    (void)pthread_mutex_lock(&load->lock);
    if (!*load->trouble)
        (void)snprintf(load->trouble, sizeof load->trouble, "%s of %s: %s", what, name, why);
    load->stopping = true;
    (void)pthread_cond_broadcast(&load->ticked);
    (void)pthread_mutex_unlock(&load->lock);
}

/* NULL when the book is full, which is a trouble. */
static struct load_line *line_add(struct load *load, uint64_t size_bytes)
{
    autofree struct load_line *line = calloc(1, sizeof *line);
    struct load_line *added = NULL;
    (void)pthread_mutex_lock(&load->lock);
    if (line && load->n_lines < LOAD_LINES_MAX) {
        added = load->lines[load->n_lines++] = take_ptr(line);
        (void)snprintf(added->name, sizeof added->name, "cut-%u", load->n_names++);
        added->size_bytes = size_bytes;
        (void)stamp_locked(load, &added->asked);
    }
    (void)pthread_mutex_unlock(&load->lock);
    if (!added)
        trouble(load, "line", "the book", "full");
    return added;
}

struct load_line *load_find(struct load *load, const char *name)
{
    for (size_t i = 0; i < load->n_lines; i++)
        if (strcmp(load->lines[i]->name, name) == 0)
            return load->lines[i];
    return NULL;
}

void load_forget(struct load *load)
{
    size_t kept = 0;
    for (size_t i = 0; i < load->n_lines; i++) {
        struct load_line *line = load->lines[i];
        if (line->released || line->refused)
            free(line);
        else
            load->lines[kept++] = line;
    }
    load->n_lines = kept;
}

/* ---- the clients ---- */

static struct load_line *reserve(struct load_client *client)
{
    struct load *load = client->load;
    uint64_t size = (1 + dice(&client->random, 12)) * MiB + dice(&client->random, 3) * 4096;
    struct load_line *line = line_add(load, size);
    autoerr struct err err = {0};
    autoreply Storage__V1__Space *space = NULL;
    if (!line)
        return NULL;
    if (call_reserve(client->storage, line->name, SSD, size, &space, &err) != 0) {
        if (err.code != ERR_RESOURCE_EXHAUSTED)
            trouble(load, "Reserve", line->name, err.message);
        stamp(load, &line->refused);
        return NULL;
    }
    (void)pthread_mutex_lock(&load->lock);
    (void)snprintf(line->id, sizeof line->id, "%s", space->id);
    (void)snprintf(line->pool, sizeof line->pool, "%s", space->pool);
    (void)snprintf(line->path, sizeof line->path, "%s", space->path);
    line->limit_bytes = space->limit_bytes;
    (void)stamp_locked(load, &line->reserved);
    (void)pthread_mutex_unlock(&load->lock);
    return line;
}

static int write_file(const char *path, const void *data, size_t size, bool durable)
{
    autoclose int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || (durable && fsync(fd) != 0))
        return -errno;
    return 0;
}

/* What is written beside `tag` is nobody's promise, but it is under way when the power fails. */
static void write_something(struct load_client *client, struct load_line *line)
{
    static const char noise[128 << 10] = {1};
    bool first = line->written == 0;
    autofree char *path = path_format("%s/%s", line->path, first ? "tag" : "noise");
    const void *data = first ? (const void *)line->id : noise;
    size_t size = first ? strlen(line->id) : 1 + dice(&client->random, sizeof noise);
    int rc = write_file(path, data, size, first || dice(&client->random, 2) == 0);
    if (rc != 0)
        trouble(client->load, "write", line->name, strerror(-rc));
    else if (first)
        stamp(client->load, &line->written);
}

static void release(struct load_client *client, struct load_line *line)
{
    autoerr struct err err = {0};
    bool existed = false;
    stamp(client->load, &line->release_asked);
    if (call_release(client->storage, line->id, &existed, &err) != 0 || !existed)
        trouble(client->load, "Release", line->name, existed ? err.message : "it was not there");
    else
        stamp(client->load, &line->released);
}

static bool goes_on(struct load *load)
{
    (void)pthread_mutex_lock(&load->lock);
    bool on = !load->stopping;
    (void)pthread_mutex_unlock(&load->lock);
    return on;
}

static void *client_run(void *data)
{
    struct load_client *client = data;
    while (goes_on(client->load)) {
        struct load_line **slot = &client->slots[dice(&client->random, LOAD_SLOTS)];
        if (!*slot) {
            *slot = reserve(client);
        } else if (dice(&client->random, 2) == 0) {
            write_something(client, *slot);
        } else if (dice(&client->random, 2) == 0) {
            release(client, *slot);
            *slot = NULL;
        }
    }
    return NULL;
}

struct load *load_create(uint64_t seed)
{
    struct load *load = calloc(1, sizeof *load);
    assert_non_null(load);
    assert_int_equal(pthread_mutex_init(&load->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&load->ticked, NULL), 0);
    for (size_t i = 0; i < LOAD_CLIENTS; i++) {
        load->clients[i].load = load;
        load->clients[i].random = seed * (2 * i + 1) | 1;
    }
    return load;
}

void load_start(struct load *load, const struct node *node)
{
    load->stopping = false;
    for (size_t i = 0; i < LOAD_CLIENTS; i++)
        load->clients[i].storage = node_client(node);
    for (size_t i = 0; i < LOAD_CLIENTS; i++)
        assert_int_equal(
            pthread_create(&load->clients[i].thread, NULL, client_run, &load->clients[i]), 0);
}

void load_stop(struct load *load)
{
    (void)pthread_mutex_lock(&load->lock);
    load->stopping = true;
    (void)pthread_mutex_unlock(&load->lock);
    for (size_t i = 0; i < LOAD_CLIENTS; i++) {
        (void)pthread_join(load->clients[i].thread, NULL);
        storage_close(take_ptr(load->clients[i].storage));
    }
    if (*load->trouble)
        fail_msg("%s", load->trouble);
}

void load_free(struct load *load)
{
    for (size_t i = 0; i < load->n_lines; i++)
        free(load->lines[i]);
    (void)pthread_mutex_destroy(&load->lock);
    (void)pthread_cond_destroy(&load->ticked);
    free(load);
}
