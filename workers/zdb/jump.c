/* What a hook is told of files: that a pair was closed, or a namespace is. */
#include "server.h"

#include <stdio.h>
#include <stdlib.h>

enum { PATH_ROOM = 4096 + FORMAT_NAME_MAX };

static void format_path(char *out, const char *root, const struct ns *ns, char letter, uint32_t id)
{
    (void)snprintf(out, PATH_ROOM, "%s/%s/%c%u", root, ns->name, letter, id);
}

/* The index files that were written since somebody asked, with a space between; freed by the
 * caller. */
static char *list_dirty(const struct ns *ns)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    for (uint32_t i = 0, n = 0; i < ns->n_pairs; i++)
        if (ns->pairs[i]->dirty)
            fprintf(stream, "%s%u", n++ ? " " : "", i);
    (void)fclose(stream);
    return text;
}

void server_rotated(struct ns *ns, void *data)
{
    struct server *server = data;
    char old[PATH_ROOM], new[PATH_ROOM];
    uint32_t id = ns->n_pairs - 1;
    char *dirty = list_dirty(ns);
    format_path(old, server->realm.index_path, ns, 'i', id - 1);
    format_path(new, server->realm.index_path, ns, 'i', id);
    if (dirty &&
        hooks_ask(&server->hooks, "jump-index", hooks_args(ns->name, old, new, dirty)) == 0)
        for (uint32_t i = 0; i < ns->n_pairs; i++)
            ns->pairs[i]->dirty = false;
    free(dirty);
    format_path(old, server->realm.data_path, ns, 'd', id - 1);
    format_path(new, server->realm.data_path, ns, 'd', id);
    hooks_tell(&server->hooks, "jump-data", hooks_args(ns->name, old, new));
}

void server_tell_closing(struct server *server, const struct ns *ns)
{
    char index[PATH_ROOM], data[PATH_ROOM];
    if (!server->hooks.file || ns->n_pairs == 0)
        return;
    char *dirty = list_dirty(ns);
    format_path(index, server->realm.index_path, ns, 'i', ns->n_pairs - 1);
    format_path(data, server->realm.data_path, ns, 'd', ns->n_pairs - 1);
    hooks_tell(&server->hooks, "namespace-closing",
               hooks_args(ns->name, index, data, dirty ? dirty : ""));
    free(dirty);
}
