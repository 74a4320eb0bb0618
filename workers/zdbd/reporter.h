/*
 * A program of ours that is executed and reports: through a pipe, its descriptor REPORTER_FD, which
 * it closes when all is said. That, and its end, are heard of in either order. Of the loop.
 */
#ifndef WORKERS_ZDBD_REPORTER_H
#define WORKERS_ZDBD_REPORTER_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

enum { REPORTER_FD = 3 };

/* Part of its owner's struct, zero-initialised. */
struct reporter {
    uv_process_t child;
    uv_pipe_t pipe;
    char *bytes; /* that it has said, owned */
    size_t size, room;
    size_t most; /* bytes that it may say */
    bool told;   /* the pipe is closed */
    bool broken; /* because it said more than that, or there was no memory for it */
    bool ended;
    int64_t status; /* then */
    int signal;
    void (*on_told)(struct reporter *reporter);
    void (*on_ended)(struct reporter *reporter);
    void (*on_closed)(void *data);
    void *closed_data;
    unsigned n_handles; /* that are not closed yet; 0: it was never spawned */
};

/*
 * Executes arguments[0]; what it prints goes where our messages go, and it reads from `input_fd`,
 * or nothing if that is -1. The owner has set `most` and the two callbacks, which come on a later
 * turn of the loop. 0 or a libuv code; in both cases it is to be closed.
 */
int reporter_spawn(struct reporter *reporter, uv_loop_t *loop, char **arguments, int input_fd);

/* Nothing is called back any more but `closed`, on the loop's next turn: then the struct may go.
 * The program lives on. */
void reporter_close(struct reporter *reporter, void (*closed)(void *data), void *data);

#endif
