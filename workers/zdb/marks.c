/*
 * Dead marks are one byte each. They are sorted, and where many lie close together a block is read,
 * marked and written back as a whole: nobody else writes below the end that the index had when they
 * were made.
 */
#include "marks.h"

#include "base/cleanup.h"
#include "file.h"
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

enum { BLOCK = 1 << 18, NEAR = 1 << 12, FEW = 8 };

static bool grow(void **array, size_t *room, size_t n, size_t size)
{
    if (n < *room)
        return true;
    size_t wanted = *room ? *room * 2 : 64;
    void *grown = realloc(*array, wanted * size);
    if (!grown)
        return false;
    *array = grown;
    *room = wanted;
    return true;
}

bool marks_reserve(struct marks *marks)
{
    return grow((void **)&marks->dead, &marks->dead_room, marks->n_dead, sizeof *marks->dead) &&
           grow((void **)&marks->slots, &marks->slots_room, marks->n_slots, sizeof *marks->slots);
}

void marks_add_dead(struct marks *marks, uint32_t file, uint32_t offset)
{
    marks->dead[marks->n_dead++] = (struct dead_mark){file, offset};
}

static size_t bucket_of(const struct marks *marks, uint32_t file, uint32_t offset)
{
    uint64_t place = (uint64_t)file << 32 | offset;
    return (size_t)((place * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (marks->n_buckets - 1);
}

static struct slot_mark *find(const struct marks *marks, uint32_t file, uint32_t offset)
{
    if (marks->n_slots == 0)
        return NULL;
    if (!marks->buckets) { /* few, or no memory for more */
        for (size_t i = 0; i < marks->n_slots; i++)
            if (marks->slots[i].file == file && marks->slots[i].offset == offset)
                return &marks->slots[i];
        return NULL;
    }
    for (uint32_t at = marks->buckets[bucket_of(marks, file, offset)]; at > 0;
         at = marks->slots[at - 1].next)
        if (marks->slots[at - 1].file == file && marks->slots[at - 1].offset == offset)
            return &marks->slots[at - 1];
    return NULL;
}

static void link_slot(struct marks *marks, size_t i)
{
    struct slot_mark *mark = &marks->slots[i];
    uint32_t *bucket = &marks->buckets[bucket_of(marks, mark->file, mark->offset)];
    mark->next = *bucket;
    *bucket = (uint32_t)i + 1;
}

static void rehash(struct marks *marks)
{
    uint32_t *buckets = calloc(marks->slots_room, sizeof *buckets);
    if (!buckets && marks->buckets && marks->n_buckets > 0) {
        link_slot(marks, marks->n_slots - 1); /* longer chains, then */
        return;
    }
    free(marks->buckets);
    marks->buckets = buckets;
    marks->n_buckets = buckets ? marks->slots_room : 0;
    for (size_t i = 0; buckets && i < marks->n_slots; i++)
        link_slot(marks, i);
}

void marks_add_slot(struct marks *marks, uint32_t file, uint32_t offset,
                    const struct format_slot *slot)
{
    struct slot_mark *mark = find(marks, file, offset);
    if (mark) {
        mark->slot = *slot;
        return;
    }
    marks->slots[marks->n_slots++] =
        (struct slot_mark){.file = file, .offset = offset, .slot = *slot};
    if (marks->n_buckets != marks->slots_room)
        rehash(marks);
    else
        link_slot(marks, marks->n_slots - 1);
}

const struct format_slot *marks_find_slot(const struct marks *marks, uint32_t file, uint32_t offset)
{
    const struct slot_mark *mark = find(marks, file, offset);
    return mark ? &mark->slot : NULL;
}

bool marks_take_back(struct marks *marks, struct marks *from)
{
    for (size_t i = 0; i < from->n_dead; i++) {
        if (!marks_reserve(marks))
            return false;
        marks_add_dead(marks, from->dead[i].file, from->dead[i].offset);
    }
    for (size_t i = 0; i < from->n_slots; i++) {
        const struct slot_mark *mark = &from->slots[i];
        if (marks_find_slot(marks, mark->file, mark->offset))
            continue;
        if (!marks_reserve(marks))
            return false;
        marks_add_slot(marks, mark->file, mark->offset, &mark->slot);
    }
    marks_free(from);
    return true;
}

bool marks_empty(const struct marks *marks)
{
    return marks->n_dead == 0 && marks->n_slots == 0;
}

void marks_free(struct marks *marks)
{
    free(marks->dead);
    free(marks->slots);
    free(marks->buckets);
    *marks = (struct marks){0};
}

/* --- making them ----------------------------------------------------------------------------- */

static int by_place(const void *left, const void *right)
{
    const struct dead_mark *a = left, *b = right;
    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

static uint64_t flags_at(const struct dead_mark *mark)
{
    return (uint64_t)mark->offset + offsetof(struct format_index_entry, flags);
}

static int mark_each(int fd, const struct dead_mark *marks, size_t n)
{
    static const uint8_t dead = FORMAT_DEAD;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = io_write(fd, IO_INDEX, &dead, 1, flags_at(&marks[i]));
    return rc;
}

static int mark_block(int fd, const struct dead_mark *marks, size_t n, uint8_t *block)
{
    uint64_t from = flags_at(&marks[0]);
    size_t size = (size_t)(flags_at(&marks[n - 1]) - from) + 1;
    int rc = io_read(fd, IO_INDEX, block, size, from);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        block[flags_at(&marks[i]) - from] |= FORMAT_DEAD;
    return io_write(fd, IO_INDEX, block, size, from);
}

/* Those of one file that lie close enough to go into one block. */
static size_t run_of(const struct dead_mark *marks, size_t n)
{
    size_t i = 1;
    while (i < n && marks[i].offset - marks[i - 1].offset < NEAR &&
           marks[i].offset - marks[0].offset < BLOCK)
        i++;
    return i;
}

static int mark_file(int fd, const struct dead_mark *marks, size_t n)
{
    autofree uint8_t *block = malloc(BLOCK + 1);
    int rc = 0;
    for (size_t i = 0, run; i < n && rc == 0; i += run) {
        run = run_of(marks + i, n - i);
        rc = block && run > FEW ? mark_block(fd, marks + i, run, block)
                                : mark_each(fd, marks + i, run);
    }
    return rc;
}

int marks_apply_dead(struct marks *marks, int fd)
{
    if (marks->n_dead == 0)
        return 0;
    qsort(marks->dead, marks->n_dead, sizeof *marks->dead, by_place);
    return mark_file(fd, marks->dead, marks->n_dead);
}

static int open_index(int dir, uint32_t id)
{
    struct file file;
    char name[FILE_NAME_SIZE];
    file_init(&file, dir, 'i', id);
    int fd = openat(dir, file_name(&file, name), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

static int apply_dead(struct marks *marks, int index_dir)
{
    int rc = 0;
    qsort(marks->dead, marks->n_dead, sizeof *marks->dead, by_place);
    for (size_t i = 0, n; i < marks->n_dead && rc == 0; i += n) {
        for (n = 1; i + n < marks->n_dead && marks->dead[i + n].file == marks->dead[i].file;)
            n++;
        autoclose int fd = open_index(index_dir, marks->dead[i].file);
        rc = fd < 0 ? fd : mark_file(fd, marks->dead + i, n);
    }
    return rc;
}

static int slots_by_place(const void *left, const void *right)
{
    const struct slot_mark *a = left, *b = right;
    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

static int apply_slots(struct marks *marks, int index_dir, bool sync)
{
    int rc = 0;
    for (size_t i = 0; i < marks->n_slots && rc == 0;) {
        uint32_t file = marks->slots[i].file;
        autoclose int fd = open_index(index_dir, file);
        rc = fd < 0 ? fd : 0;
        for (; rc == 0 && i < marks->n_slots && marks->slots[i].file == file; i++)
            rc = io_write(fd, IO_INDEX, &marks->slots[i].slot, FORMAT_SLOT, marks->slots[i].offset);
        if (rc == 0 && sync)
            rc = io_sync(fd);
    }
    return rc;
}

int marks_apply(struct marks *marks, int index_dir, bool sync)
{
    if (marks->n_slots == 0)
        return marks->n_dead > 0 ? apply_dead(marks, index_dir) : 0;
    /* The buckets name slots by their number: a sorted copy leaves them to those who read. */
    struct marks sorted = {.slots = malloc(marks->n_slots * sizeof *sorted.slots),
                           .n_slots = marks->n_slots};
    if (!sorted.slots)
        return -ENOMEM;
    memcpy(sorted.slots, marks->slots, marks->n_slots * sizeof *sorted.slots);
    qsort(sorted.slots, sorted.n_slots, sizeof *sorted.slots, slots_by_place);
    int rc = apply_slots(&sorted, index_dir, sync);
    free(sorted.slots);
    return rc; /* a namespace has marks of one kind: its mode's */
}
