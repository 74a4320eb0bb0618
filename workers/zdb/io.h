/*
 * Whole reads and writes at an offset, counted. All return 0 or a negative errno. Any thread; every
 * change of a file goes through here and through base/step.h, where a test can end the process.
 */
#ifndef WORKERS_ZDB_IO_H
#define WORKERS_ZDB_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum io_kind { IO_INDEX, IO_DATA, IO_KINDS };

/* No room, on the disk or in our share of it: that is refused, and no failure of the disk's. */
bool io_is_full(int rc);

/* What INFO tells. */
struct io_counters {
    _Atomic uint64_t read_bytes, written_bytes, read_failed, write_failed;
};
extern struct io_counters io_counters[IO_KINDS];

/* -ENODATA where the file ends before. */
int io_read(int fd, enum io_kind kind, void *out, size_t size, uint64_t offset);
/* Into two places, one after the other. */
int io_read_two(int fd, enum io_kind kind, struct iovec parts[2], uint64_t offset);
/* As much as there is, up to `size`. */
int io_read_some(int fd, enum io_kind kind, void *out, size_t size, uint64_t offset,
                 size_t *out_size);
int io_write(int fd, enum io_kind kind, const void *bytes, size_t size, uint64_t offset);
/* Of up to 4 parts; they are changed. */
int io_write_parts(int fd, enum io_kind kind, struct iovec *parts, int n, uint64_t offset);
int io_truncate(int fd, uint64_t size);
int io_sync(int fd);
/* What the kernel has in memory of the file and holds for clean is read from the disk again. */
int io_forget(int fd);
/* Room behind the end, which does not move; -EOPNOTSUPP where the filesystem cannot. */
int io_allocate(int fd, uint64_t offset, uint64_t size);

/* Writes `name` as a whole: beside it, synced, renamed, the directory synced. When that last sync
 * fails the new file is there, and is perhaps not on the disk: the caller's to undo. */
int io_replace(int dir, const char *name, const void *bytes, size_t size);
int io_size(int fd, uint64_t *out_size);

#endif
