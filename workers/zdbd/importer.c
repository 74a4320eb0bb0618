/* Runs of the importer: done when the pipe is closed and the child was waited for, in either order.
 * A child that hangs on a disk holds its own run alone. */
#include "importer.h"

#include "base/cleanup.h"
#include "program.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ARGUMENTS_MAX = 16,
    CHUNK = 64 * 1024,
    REPORTS_MAX = IMPORT_NAMESPACES_MAX + 1,
    BYTES_MAX = REPORTS_MAX * sizeof(struct import_report),
};

struct importer {
    importer_done done;
    void *data;
    uv_process_t child;
    uv_pipe_t pipe;
    unsigned n_handles; /* that are not closed yet */
    bool read, ended;   /* the pipe was closed; it was waited for */
    bool closing;
    int64_t status;
    int signal;
    char *bytes; /* of its reports */
    size_t size, room;
};

/* ---- its end --------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct importer *importer = handle->data;
    if (--importer->n_handles > 0)
        return;
    free(importer->bytes);
    free(importer);
}

static void close_handles(struct importer *importer)
{
    importer->closing = true;
    importer->child.data = importer->pipe.data = importer;
    uv_close((uv_handle_t *)&importer->child, on_closed);
    uv_close((uv_handle_t *)&importer->pipe, on_closed);
}

static int read_end(const struct importer *importer, const struct import_report *reports, size_t n,
                    struct err *err)
{
    const struct import_report *last = n > 0 ? &reports[n - 1] : NULL;
    if (importer->size % sizeof *reports == 0 && last && last->kind == IMPORT_DONE)
        return 0;
    if (last && last->kind == IMPORT_FAILED && last->code != ERR_OK)
        return err_set(err, last->code, 0, "zdbimport", "%.*s", (int)sizeof last->reason,
                       last->reason);
    if (importer->signal)
        return err_set(err, ERR_UNAVAILABLE, 0, "zdbimport", "the importer ended early: signal %d",
                       importer->signal);
    return err_set(err, ERR_INTERNAL, 0, "zdbimport", "the importer ended early: exit %d",
                   (int)importer->status);
}

static void review(struct importer *importer)
{
    if (!importer->read || !importer->ended || importer->closing)
        return;
    autoerr struct err err = {0};
    const struct import_report *reports = (const struct import_report *)(void *)importer->bytes;
    size_t n = importer->size / sizeof *reports;
    int rc = read_end(importer, reports, n, &err);
    close_handles(importer); /* freed on the loop's next turn */
    if (rc < 0)
        importer->done(NULL, 0, NULL, &err, importer->data);
    else
        importer->done(reports, n - 1, &reports[n - 1], NULL, importer->data);
}

static void on_end(uv_process_t *child, int64_t status, int signal)
{
    struct importer *importer = container_of(child, struct importer, child);
    importer->ended = true;
    importer->status = status;
    importer->signal = signal;
    review(importer);
}

/* ---- its reports ----------------------------------------------------------------------------- */

static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct importer *importer = container_of((uv_pipe_t *)handle, struct importer, pipe);
    (void)suggested;
    *out = uv_buf_init(NULL, 0);
    if (importer->size == importer->room && importer->room < BYTES_MAX) {
        size_t room = importer->room + CHUNK < BYTES_MAX ? importer->room + CHUNK : BYTES_MAX;
        char *grown = realloc(importer->bytes, room);
        if (!grown)
            return;
        importer->bytes = grown;
        importer->room = room;
    }
    *out =
        uv_buf_init(importer->bytes + importer->size, (unsigned)(importer->room - importer->size));
}

/* More than there can be, or no memory, is an error of the pipe's (UV_ENOBUFS), and its end. */
static void on_report(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct importer *importer = container_of((uv_pipe_t *)stream, struct importer, pipe);
    (void)buffer;
    if (n > 0)
        importer->size += (size_t)n;
    if (n >= 0)
        return;
    (void)uv_read_stop(stream);
    if (n != UV_EOF) {
        importer->size = 0;
        importer_kill(importer);
    }
    importer->read = true;
    review(importer);
}

/* ---- its beginning --------------------------------------------------------------------------- */

static int spawn(struct importer *importer, uv_loop_t *loop, char **arguments)
{
    uv_stdio_container_t descriptors[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
        [IMPORT_REPORT_FD] = {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
                              .data.stream = (uv_stream_t *)&importer->pipe},
    };
    const uv_process_options_t options = {
        .exit_cb = on_end,
        .file = arguments[0],
        .args = arguments,
        .stdio = descriptors,
        .stdio_count = (int)array_length(descriptors),
    };
    (void)uv_pipe_init(loop, &importer->pipe, 0);
    importer->n_handles = 2;
    int rc = uv_spawn(loop, &importer->child, &options);
    return rc < 0 ? rc : uv_read_start((uv_stream_t *)&importer->pipe, give_room, on_report);
}

int importer_run(uv_loop_t *loop, const char *const *arguments, importer_done done, void *data,
                 struct importer **out_importer, struct err *err)
{
    char *argv[ARGUMENTS_MAX] = {NULL};
    autofree char *program = program_beside("zdbimport");
    struct importer *importer = calloc(1, sizeof *importer);
    if (!importer || !program) {
        free(importer);
        return err_errno(err, ENOMEM, "zdbimport", "cannot run the importer");
    }
    argv[0] = program;
    for (size_t i = 0; arguments[i] && i + 2 < ARGUMENTS_MAX; i++)
        argv[i + 1] = (char *)(uintptr_t)arguments[i];
    importer->done = done;
    importer->data = data;
    int rc = spawn(importer, loop, argv);
    if (rc < 0) {
        importer_close(importer);
        return err_errno(err, -rc, program, "cannot execute the importer");
    }
    *out_importer = importer;
    return 0;
}

void importer_kill(struct importer *importer)
{
    if (!importer->ended)
        (void)uv_process_kill(&importer->child, SIGKILL);
}

void importer_close(struct importer *importer)
{
    if (!importer || importer->closing)
        return;
    if (importer->child.pid > 0)
        importer_kill(importer);
    close_handles(importer);
}
