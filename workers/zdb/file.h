/*
 * A data or index file of a namespace. It is opened when it is needed, and closed again when others
 * need descriptors more; so a server can have more files than descriptors. Main thread only; the
 * descriptor of a file that is pinned may be used by others.
 */
#ifndef WORKERS_ZDB_FILE_H
#define WORKERS_ZDB_FILE_H

#include "io.h"
#include "mapping.h"

#include <stdbool.h>
#include <stdint.h>

enum { FILE_NAME_SIZE = 16 };

struct file {
    int dir; /* borrowed */
    char letter;
    uint32_t id;
    int fd;
    uint32_t pins;
    struct mapping mapping;     /* while it is open */
    struct file *newer, *older; /* among those that are open */
};

/* At most so many stay open, but those that are pinned; the default is 256. */
void file_set_limit(uint32_t n);
uint32_t file_limit(void);

void file_init(struct file *file, int dir, char letter, uint32_t id);
/* The descriptor, valid until the next call for any file unless this one is pinned; or a negative
 * errno. */
int file_fd(struct file *file);
/* Made, where there is none; then as file_fd(). */
int file_create(struct file *file);
void file_pin(struct file *file);
void file_unpin(struct file *file);
/* Of one that is not pinned; closed files too. */
void file_close(struct file *file);
/* "d0" */
const char *file_name(const struct file *file, char out_name[FILE_NAME_SIZE]);
enum io_kind file_kind(const struct file *file);

#endif
