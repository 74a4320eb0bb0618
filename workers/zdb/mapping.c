/*
 * The kernel keeps a shared mapping and what is written to the file the same. Bytes are copied out
 * before anybody looks at them, so it does not matter who changes the file meanwhile.
 *
 * Where the file ends before the mapping does, or the disk cannot be read, a copy raises SIGBUS.
 * It is caught for the thread that copies, and the file is read with calls from then on, which
 * tell what is wrong.
 */
#include "mapping.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

enum {
    ASKED_LEAST = 4, /* a file that is closed again soon is not worth it */
    SIZE_LEAST = 16 << 20,
};

static _Thread_local sigjmp_buf failed;
static _Thread_local volatile sig_atomic_t copying;

static void hear_bus_error(int signal_number)
{
    if (copying)
        siglongjmp(failed, 1);
    (void)signal(signal_number, SIG_DFL); /* none of ours: it comes again, and ends the process */
}

static void catch_bus_errors(void)
{
    static bool caught;
    struct sigaction action = {.sa_handler = hear_bus_error, .sa_flags = SA_NODEFER};
    if (!caught)
        (void)sigaction(SIGBUS, &action, NULL);
    caught = true;
}

/* The next power of two, so that a file which grows is seldom mapped anew. It may be less than that
 * long: nobody asks for what is behind its end. */
static bool cover(struct mapping *mapping, int fd, uint64_t end)
{
    uint64_t size = mapping->size > 0 ? mapping->size : SIZE_LEAST;
    while (size < end)
        size *= 2;
    mapping_end(mapping);
    void *at = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    mapping->failed = at == MAP_FAILED;
    if (mapping->failed)
        return false;
    catch_bus_errors();
    (void)madvise(at, size, MADV_RANDOM); /* what is not in memory is asked for page by page */
    mapping->at = at;
    mapping->size = size;
    return true;
}

bool mapping_copy(struct mapping *mapping, int fd, uint64_t offset,
                  const struct mapping_part parts[2])
{
    uint64_t end = offset + parts[0].size + parts[1].size;
    if (mapping->failed || (!mapping->at && ++mapping->asked < ASKED_LEAST))
        return false;
    if (end > mapping->size && !cover(mapping, fd, end))
        return false;
    if (sigsetjmp(failed, 0) != 0) {
        copying = 0;
        mapping_end(mapping);
        mapping->failed = true;
        return false;
    }
    const uint8_t *at = mapping->at + offset;
    copying = 1;
    memcpy(parts[0].out, at, parts[0].size);
    memcpy(parts[1].out, at + parts[0].size, parts[1].size);
    copying = 0;
    return true;
}

void mapping_end(struct mapping *mapping)
{
    if (mapping->at)
        (void)munmap((void *)(uintptr_t)mapping->at, mapping->size);
    *mapping = (struct mapping){0};
}
