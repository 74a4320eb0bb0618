/*
 * Descriptors that a dying process must not close while one of its threads hangs in the kernel.
 *
 * A process that is aborted closes all it has, so that its successor finds locks and sockets free;
 * but a lock that fences what a hung thread may still do has to stay until that thread is gone. So
 * whoever begins something that may hang says which descriptor guards it. Any thread.
 */
#ifndef LIB_BASE_KEEP_H
#define LIB_BASE_KEEP_H

enum {
    KEEP_MAX = 1024,
    KEEP_NONE = -1,
    KEEP_HUNG_MS = 100, /* what has not moved on for so long hangs */
};

/* For keep_end(). KEEP_NONE when the table is full: then the descriptor is closed like all. */
int keep_begin(int fd);
void keep_end(int kept);

/* Closes every descriptor from `first` on but those whose work hangs; takes up to KEEP_HUNG_MS if
 * any is guarded. Async-signal-safe. */
void keep_close_others(int first);

#endif
