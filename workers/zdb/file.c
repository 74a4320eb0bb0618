/* The open files as a list, the one that was used last in front. */
#include "file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static struct {
    struct file *newest, *oldest;
    uint32_t n, limit;
} open_files = {.limit = 256};

void file_set_limit(uint32_t n)
{
    open_files.limit = n;
}

uint32_t file_limit(void)
{
    return open_files.limit;
}

void file_init(struct file *file, int dir, char letter, uint32_t id)
{
    *file = (struct file){.dir = dir, .letter = letter, .id = id, .fd = -1};
}

const char *file_name(const struct file *file, char out_name[FILE_NAME_SIZE])
{
    (void)snprintf(out_name, FILE_NAME_SIZE, "%c%u", file->letter, file->id);
    return out_name;
}

enum io_kind file_kind(const struct file *file)
{
    return file->letter == 'd' ? IO_DATA : IO_INDEX;
}

static void list_remove(struct file *file)
{
    *(file->newer ? &file->newer->older : &open_files.newest) = file->older;
    *(file->older ? &file->older->newer : &open_files.oldest) = file->newer;
    open_files.n--;
}

static void list_add(struct file *file)
{
    file->newer = NULL;
    file->older = open_files.newest;
    *(file->older ? &file->older->newer : &open_files.oldest) = file;
    open_files.newest = file;
    open_files.n++;
}

/* Those that were used longest ago, until so many are open; false when none could be closed. */
static bool close_down_to(uint32_t n)
{
    struct file *next;
    uint32_t before = open_files.n;
    for (struct file *file = open_files.oldest; file && open_files.n > n; file = next) {
        next = file->newer;
        if (file->pins == 0)
            file_close(file);
    }
    return open_files.n < before;
}

static int open_with(struct file *file, int flags)
{
    char name[FILE_NAME_SIZE];
    int fd;
    if (open_files.n >= open_files.limit)
        (void)close_down_to(open_files.limit - 1);
    do
        fd =
            openat(file->dir, file_name(file, name), flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    while (fd < 0 && (errno == EMFILE || errno == ENFILE) && close_down_to(open_files.n / 2));
    if (fd < 0)
        return -errno;
    file->fd = fd;
    list_add(file);
    return fd;
}

int file_fd(struct file *file)
{
    if (file->fd < 0)
        return open_with(file, 0);
    if (file != open_files.newest) {
        list_remove(file);
        list_add(file);
    }
    return file->fd;
}

int file_create(struct file *file)
{
    return file->fd >= 0 ? file_fd(file) : open_with(file, O_CREAT);
}

void file_pin(struct file *file)
{
    file->pins++;
}

void file_unpin(struct file *file)
{
    assert(file->pins > 0);
    file->pins--;
}

void file_close(struct file *file)
{
    assert(file->pins == 0);
    if (file->fd < 0)
        return;
    list_remove(file);
    mapping_end(&file->mapping);
    (void)close(file->fd);
    file->fd = -1;
}
