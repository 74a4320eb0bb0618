/*
 * The power fails under load, at any moment: what was acknowledged before is on the disk, whole,
 * and what was released is gone or going. Four disks are cut again and again while clients reserve,
 * write and release: half of the times each at a moment of its own, and half of the times all at
 * once, and then what was not flushed is lost. A fresh node opens one cut of each disk after the
 * other. A cut and its original carry the same fsid and are never plugged in together.
 *
 * STORAGED_TEST_CUTS makes it longer (200), STORAGED_TEST_SEED throws the dice as they once fell.
 */
#include "poolnode.h"
#include "powerhost.h"
#include "powerload.h"

#include "quota.h"
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define DISK_BYTES (1536 * MiB)

enum {
    DISKS = 4,
    CUTS = 200,
    ROUND_CUTS = 20,
    REPORT_CUTS = 500,
    WARM_STAMPS = 100,
    APART_STAMPS = 10,
    APART_NS = 3000000,
};

struct cut {
    char *file;
    uint64_t before, after; /* the load's clock around it */
};

struct trial {
    struct powerhost host;
    struct node *node;
    struct load *load;
    uint64_t random;
    struct disk *disks[DISKS];
    char *originals[DISKS];
    char fsids[DISKS][40];
    struct cut cuts[ROUND_CUTS];
    unsigned n_present, n_written, n_under_way;
};

/* ---- one space of a cut ---- */

static struct record read_record(const struct node *node, const Storage__V1__Space *space)
{
    autofree char *path = path_format("%s/%s/spaces/%s", node->mount_root, space->pool, space->id);
    uint8_t data[RECORD_MAX];
    struct record record;
    autoerr struct err err = {0};
    ssize_t length = getxattr(path, RECORD_XATTR, data, sizeof data);
    assert_true(length > 0);
    assert_ok(record_unpack(data, (size_t)length, &record, &err), &err);
    return record;
}

/* Nothing of a pool is open when a check fails, or the test could not be cleaned up. */
static int read_subvolume(const char *path, uint64_t *out_id)
{
    autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : btrfs_subvolume_id(fd, out_id);
}

static int read_quotas(const char *path, struct quota_tree *out_tree)
{
    autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : quota_read(fd, out_tree);
}

/* What its pool's kernel holds it to. */
static void check_limit(const Storage__V1__Space *space, const struct record *record,
                        const struct quota_tree *tree)
{
    uint64_t subvolume, group = btrfs_group(1, record->qgroup);
    size_t n_parents;
    assert_int_equal(read_subvolume(space->path, &subvolume), 0);
    const struct quota_relation *parents = quota_parents(tree, subvolume, &n_parents);
    assert_int_equal(n_parents, 1);
    assert_int_equal(parents->parent, group);
    const struct quota_group *limit = quota_find(tree, group);
    assert_non_null(limit);
    assert_int_equal(limit->limit_bytes, record->limit_bytes);
}

static void check_space(struct trial *trial, const struct cut *cut, const Storage__V1__Space *space,
                        const struct quota_tree *tree)
{
    struct load_line *line = load_find(trial->load, space->name);
    if (!line || line->refused || line->asked > cut->after)
        fail_msg("%s is there, and was not reserved", space->name);
    if (line->released && line->released < cut->before)
        fail_msg("%s is there, and was released", space->name);
    assert_string_equal(space->id, line->id);
    assert_string_equal(space->pool, line->pool);
    assert_int_equal(space->state, STORAGE__V1__SPACE_STATE__SPACE_STATE_LIVE);
    assert_int_equal(space->size_bytes, line->size_bytes);
    assert_int_equal(space->limit_bytes, line->limit_bytes);
    struct record record = read_record(trial->node, space);
    assert_string_equal(record.id, line->id);
    assert_string_equal(record.name, line->name);
    assert_int_equal(record.state, RECORD_STATE_LIVE);
    assert_int_equal(record.size_bytes, line->size_bytes);
    assert_int_equal(record.limit_bytes, line->limit_bytes);
    check_limit(space, &record, tree);
    if (line->written && line->written < cut->before) {
        autofree char *path = path_format("%s/tag", space->path);
        autofree char *text = file_read(path, NULL);
        assert_string_equal(text, line->id);
        trial->n_written++;
    }
    trial->n_under_way +=
        line->reserved > cut->before || (line->release_asked && line->release_asked < cut->after);
    trial->n_present++;
}

/* ---- one pool of a cut ---- */

static bool must_be_there(const struct load_line *line, const struct cut *cut)
{
    return line->reserved && line->reserved < cut->before &&
           (!line->release_asked || line->release_asked > cut->after);
}

static bool is_listed(const Storage__V1__SpaceListReply *list, const char *id)
{
    for (size_t i = 0; i < list->n_spaces; i++)
        if (strcmp(list->spaces[i]->id, id) == 0)
            return true;
    return false;
}

static void nothing_is_missing(const struct trial *trial, size_t disk, const struct cut *cut,
                               const Storage__V1__SpaceListReply *list)
{
    const struct load *load = trial->load;
    for (size_t i = 0; i < load->n_lines; i++) {
        const struct load_line *line = load->lines[i];
        if (strcmp(line->pool, trial->fsids[disk]) == 0 && must_be_there(line, cut) &&
            !is_listed(list, line->id))
            fail_msg("%s was reserved, and is not there", line->name);
    }
}

static void check_spaces(struct trial *trial, size_t disk, const struct cut *cut,
                         const Storage__V1__SpaceListReply *list)
{
    autofree char *path = poolnode_path(trial->node, trial->fsids[disk], "");
    struct quota_tree tree;
    assert_int_equal(read_quotas(path, &tree), 0);
    for (size_t i = 0; i < list->n_spaces; i++)
        if (strcmp(list->spaces[i]->pool, trial->fsids[disk]) == 0)
            check_space(trial, cut, list->spaces[i], &tree);
    quota_free(&tree);
    nothing_is_missing(trial, disk, cut, list);
}

/* Who was not answered asks again, and gets his space, whether it was there or not. */
static void ask_again(struct trial *trial, const struct cut *cut)
{
    for (size_t i = 0; i < trial->load->n_lines; i++) {
        const struct load_line *line = trial->load->lines[i];
        bool answered = line->reserved && line->reserved < cut->before;
        if (line->asked > cut->after || answered || line->refused)
            continue;
        autoreply Storage__V1__Space *space =
            must_reserve(trial->node, line->name, SSD, line->size_bytes);
        assert_int_equal(space->size_bytes, line->size_bytes);
        must_release(trial->node, space->id);
    }
}

/* ---- rounds ---- */

static void fall_in_between(struct trial *trial)
{
    struct timespec some = {.tv_nsec = (long)dice(&trial->random, APART_NS)};
    (void)load_stamp(trial->load,
                     dice(&trial->random, trial->host.top ? DISKS * APART_STAMPS : APART_STAMPS));
    (void)nanosleep(&some, NULL); /* so that a cut does not always follow an answer */
}

static void cut_under_load(struct trial *trial)
{
    load_forget(trial->load);
    node_start(trial->node);
    node_wait_pools(trial->node, DISKS);
    load_start(trial->load, trial->node);
    (void)load_stamp(trial->load, WARM_STAMPS);
    for (size_t i = 0; i < ROUND_CUTS; i++) {
        struct cut *cut = &trial->cuts[i];
        if (trial->host.top && i % DISKS != 0) {
            *cut = cut[-1]; /* the same moment on each disk */
            cut->file = NULL;
            continue;
        }
        fall_in_between(trial);
        cut->before = load_stamp(trial->load, 0);
        cut->file = powerhost_cut(&trial->host, trial->disks[i % DISKS]);
        cut->after = load_stamp(trial->load, 0);
    }
    load_stop(trial->load);
    autoerr struct err err = {0};
    assert_ok(node_shutdown(trial->node, &err), &err);
}

static void open_cuts(struct trial *trial, const struct cut cuts[DISKS])
{
    struct node *node = trial->node;
    char *files[DISKS];
    for (size_t i = 0; i < DISKS; i++)
        files[i] = cuts[i].file;
    powerhost_swap(&trial->host, trial->disks, files, DISKS);
    node_start(node);
    node_wait_pools(node, DISKS);
    node_wait_cache(node, true);
    autoerr struct err err = {0};
    autoreply Storage__V1__SpaceListReply *list = NULL;
    assert_ok(call_spaces(node->storage, &list, &err), &err);
    assert_string_equal(list->next_page_token, "");
    for (size_t i = 0; i < DISKS; i++)
        check_spaces(trial, i, &cuts[i], list);
    poolnode_wait_reaped(node);
    poolnode_must_balance(node);
    for (size_t i = 0; i < DISKS; i++)
        ask_again(trial, &cuts[i]);
    assert_ok(node_shutdown(node, &err), &err);
}

static void round_of_cuts(struct trial *trial)
{
    cut_under_load(trial);
    for (size_t i = 0; i < ROUND_CUTS; i += DISKS)
        open_cuts(trial, &trial->cuts[i]);
    powerhost_swap(&trial->host, trial->disks, trial->originals, DISKS);
    for (size_t i = 0; i < ROUND_CUTS; i++) {
        if (trial->cuts[i].file)
            assert_int_equal(unlink(trial->cuts[i].file), 0);
        free(take_ptr(trial->cuts[i].file));
    }
}

static void read_fsids(struct trial *trial)
{
    autoerr struct err err = {0};
    autoreply Storage__V1__ListPoolsReply *pools = NULL;
    assert_ok(call_pools(trial->node->storage, &pools, &err), &err);
    for (size_t i = 0; i < DISKS; i++)
        for (size_t k = 0; k < pools->n_pools; k++) {
            const Storage__V1__PoolInfo *pool = pools->pools[k];
            if (strcmp(pool->members[0]->path, trial->disks[i]->path) != 0)
                continue;
            (void)snprintf(trial->fsids[i], sizeof trial->fsids[i], "%s", pool->id);
        }
}

/* A pool on each disk, and no space on any. */
static void make_pools(struct trial *trial)
{
    trial->node = node_create(NULL);
    node_set(trial->node, "spaces.headroom", "8M");
    for (size_t i = 0; i < DISKS; i++) {
        trial->disks[i] = powerhost_disk(&trial->host, DISK_BYTES);
        trial->originals[i] = powerhost_original(&trial->host, trial->disks[i]);
        node_allow(trial->node, trial->disks[i]);
    }
    node_start(trial->node);
    node_wait_cache(trial->node, true);
    for (size_t i = 0; i < DISKS; i++) {
        autoreply Storage__V1__PrepareReply *prepared = NULL; /* one is a pool already */
        (void)call_prepare(trial->node->storage, trial->disks[i]->path, &prepared, NULL);
    }
    node_wait_pools(trial->node, DISKS);
    read_fsids(trial);
    autoerr struct err err = {0};
    assert_ok(node_shutdown(trial->node, &err), &err);
}

static unsigned long number_from_environment(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : otherwise;
}

static void cut_again_and_again(bool deep)
{
    struct trial *trial = calloc(1, sizeof *trial);
    assert_non_null(trial);
    trial->random = number_from_environment("STORAGED_TEST_SEED", clock_realtime_us()) | 1;
    (void)fprintf(stderr, "STORAGED_TEST_SEED=%llu\n", (unsigned long long)trial->random);
    trial->load = load_create(trial->random);
    trial->host = powerhost_make(deep);
    make_pools(trial);
    unsigned long cuts = number_from_environment("STORAGED_TEST_CUTS", CUTS) / 2, n = 0;
    for (; n < cuts; n += ROUND_CUTS) {
        round_of_cuts(trial);
        if (n / REPORT_CUTS != (n + ROUND_CUTS) / REPORT_CUTS)
            (void)fprintf(stderr, "%lu cuts\n", n + ROUND_CUTS);
    }
    (void)fprintf(stderr, "%lu cuts: %u spaces seen, %u of them written, %u on their way\n", n,
                  trial->n_present, trial->n_written, trial->n_under_way);
    assert_true(trial->n_written > 0 && trial->n_under_way > 0);
    load_free(trial->load);
    powerhost_clear(&trial->host);
    for (size_t i = 0; i < DISKS; i++)
        free(trial->originals[i]);
    free(trial);
}

static void what_was_acknowledged_outlives_a_power_cut(void)
{
    cut_again_and_again(false);
}

/* Acknowledged means flushed. */
static void what_was_acknowledged_outlives_what_was_not_flushed(void)
{
    cut_again_and_again(true);
}

int main(int argc, char **argv)
{
    const struct harness_case cases[] = {
        harness_case(what_was_acknowledged_outlives_a_power_cut),
        harness_case(what_was_acknowledged_outlives_what_was_not_flushed),
    };
    return harness_main(argc, argv, "powercut", cases, array_length(cases));
}
