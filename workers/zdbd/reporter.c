/* Its pipe and its end. libuv waits for the child: until it has, the pid is nobody else's. */
#include "reporter.h"

#include "base/cleanup.h"

#include <stdlib.h>

enum { CHUNK = 64 * 1024 };

static void on_end(uv_process_t *child, int64_t status, int signal)
{
    struct reporter *reporter = container_of(child, struct reporter, child);
    reporter->ended = true;
    reporter->status = status;
    reporter->signal = signal;
    if (!reporter->on_closed)
        reporter->on_ended(reporter);
}

/* No room is an error of the pipe's, UV_ENOBUFS. */
static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct reporter *reporter = container_of((uv_pipe_t *)handle, struct reporter, pipe);
    (void)suggested;
    *out = uv_buf_init(NULL, 0);
    if (reporter->size == reporter->room && reporter->room < reporter->most) {
        size_t left = reporter->most - reporter->room;
        size_t room = reporter->room + (left < CHUNK ? left : CHUNK);
        char *grown = realloc(reporter->bytes, room);
        if (!grown)
            return;
        reporter->bytes = grown;
        reporter->room = room;
    }
    *out =
        uv_buf_init(reporter->bytes + reporter->size, (unsigned)(reporter->room - reporter->size));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct reporter *reporter = container_of((uv_pipe_t *)stream, struct reporter, pipe);
    (void)buffer;
    if (n > 0)
        reporter->size += (size_t)n;
    if (n >= 0)
        return;
    (void)uv_read_stop(stream);
    reporter->told = true;
    reporter->broken = n != UV_EOF;
    reporter->on_told(reporter);
}

int reporter_spawn(struct reporter *reporter, uv_loop_t *loop, char **arguments, int input_fd)
{
    uv_stdio_container_t descriptors[] = {
        {.flags = input_fd < 0 ? UV_IGNORE : UV_INHERIT_FD, .data.fd = input_fd},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
        [REPORTER_FD] = {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
                         .data.stream = (uv_stream_t *)&reporter->pipe},
    };
    const uv_process_options_t options = {
        .exit_cb = on_end,
        .file = arguments[0],
        .args = arguments,
        .stdio = descriptors,
        .stdio_count = (int)array_length(descriptors),
    };
    (void)uv_pipe_init(loop, &reporter->pipe, 0);
    reporter->n_handles = 2;
    int rc = uv_spawn(loop, &reporter->child, &options);
    return rc < 0 ? rc : uv_read_start((uv_stream_t *)&reporter->pipe, give_room, on_read);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct reporter *reporter = handle->data;
    if (--reporter->n_handles > 0)
        return;
    free(reporter->bytes);
    reporter->on_closed(reporter->closed_data);
}

void reporter_close(struct reporter *reporter, void (*closed)(void *data), void *data)
{
    reporter->on_closed = closed;
    reporter->closed_data = data;
    reporter->child.data = reporter->pipe.data = reporter;
    uv_close((uv_handle_t *)&reporter->child, on_handle_closed);
    uv_close((uv_handle_t *)&reporter->pipe, on_handle_closed);
}
