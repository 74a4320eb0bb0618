/*
 * Cleanup attributes: `autoclose int fd = -1;`, `autofree char *text = NULL;`, `autoerr struct err
 * err = {0};`. Each destructor accepts the empty value. take_fd() and take_ptr() hand the value on
 * and leave the empty one behind.
 */
#ifndef LIB_BASE_CLEANUP_H
#define LIB_BASE_CLEANUP_H

#include "base/error.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static inline void cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

static inline void cleanup_dir(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir);
}

static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#define take_ptr(pointer)                                                                          \
    ({                                                                                             \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })

#define autoclose __attribute__((cleanup(cleanup_fd)))
#define autofree  __attribute__((cleanup(cleanup_free)))
#define autodir   __attribute__((cleanup(cleanup_dir)))
#define autoerr   __attribute__((cleanup(err_clear)))

#define array_length(array) (sizeof(array) / sizeof *(array))

#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
