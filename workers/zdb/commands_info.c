/* What is told about the server and its namespaces, as text of `key: value` lines. */
#include "base/cleanup.h"
#include "base/log.h"
#include "command.h"
#include "compact.h"
#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define MB (1024.0 * 1024.0)

static void reply_text(struct client *client, FILE *text, char **bytes, const size_t *size)
{
    if (text && fclose(text) == 0)
        out_bulk(&client->out, *bytes, *size);
    else
        command_error(client, "-Internal memory error");
}

/* --- INFO ------------------------------------------------------------------------------------ */

static void print_both(FILE *text, const char *name, uint64_t bytes)
{
    fprintf(text, "%s_bytes: %ju\n%s_mb: %.2f\n", name, (uintmax_t)bytes, name, (double)bytes / MB);
}

static void print_disk(FILE *text, const char *name, const struct io_counters *counters)
{
    char label[64];
    (void)snprintf(label, sizeof label, "%s_disk_read", name);
    print_both(text, label, counters->read_bytes);
    (void)snprintf(label, sizeof label, "%s_disk_write", name);
    print_both(text, label, counters->written_bytes);
}

static void print_stats(FILE *text, const struct server *server)
{
    const struct server_counters *counters = &server->counters;
    const struct io_counters *index = &io_counters[IO_INDEX], *data = &io_counters[IO_DATA];
    fprintf(text,
            "\n# stats\ncommands_executed: %ju\ncommands_failed: %ju\n"
            "commands_unauthorized: %ju\nindex_disk_read_failed: %ju\n"
            "index_disk_write_failed: %ju\ndata_disk_read_failed: %ju\n"
            "data_disk_write_failed: %ju\n",
            (uintmax_t)counters->commands, (uintmax_t)counters->failed,
            (uintmax_t)counters->unauthorized, (uintmax_t)index->read_failed,
            (uintmax_t)index->write_failed, (uintmax_t)data->read_failed,
            (uintmax_t)data->write_failed);
    print_disk(text, "index", index);
    print_disk(text, "data", data);
    print_both(text, "network_rx", counters->received_bytes);
    print_both(text, "network_tx", counters->sent_bytes);
    fprintf(text, "syncs_done: %ju\n", (uintmax_t)sync_count(server->syncer));
}

static void print_namespaces(FILE *text, const struct realm *realm)
{
    size_t n = 0, damaged = 0, closed = 0;
    for (const struct ns *ns = realm->first; ns; ns = ns->next) {
        n++;
        damaged += ns->damaged;
        closed += !ns->described;
    }
    fprintf(text,
            "\n# namespaces\nnamespaces: %zu\nnamespaces_out_of_service: %zu\n"
            "namespaces_closed: %zu\nremovals_left: %ju\n",
            n, damaged, closed, (uintmax_t)reaper_left(realm->reaper));
}

void command_info(struct client *client, const struct args *args)
{
    const struct server *server = client->server;
    char *bytes = NULL;
    size_t size = 0;
    if (!command_expect(client, args, 0))
        return;
    FILE *text = open_memstream(&bytes, &size);
    if (text) {
        fprintf(text,
                "# server\nserver_name: 0-db (embedded)\nserver_revision: storaged-%s\n"
                "engine_revision: storaged-%s\ninstance_id: %u\nboot_time: %ju\nuptime: %ju\n"
                "\n# clients\nclients_lifetime: %ju\nclients_let_go: %ju\n"
                "\n# internals\nsequential_key_size: %d\ndata_version: %d\nindex_version: %d\n",
                ZDB_VERSION, ZDB_VERSION, server->instance, (uintmax_t)server->started,
                (uintmax_t)(server->time - server->started), (uintmax_t)server->counters.clients,
                (uintmax_t)server->counters.let_go, FORMAT_ID_SIZE, FORMAT_DATA_VERSION,
                FORMAT_INDEX_VERSION);
        print_stats(text, server);
        print_namespaces(text, &server->realm);
        compact_print(server->compactor, text);
    }
    reply_text(client, text, &bytes, &size);
    free(bytes);
}

/* --- NSINFO ---------------------------------------------------------------------------------- */

static const char *yes_no(bool value)
{
    return value ? "yes" : "no";
}

static void print_errors(FILE *text, const char *name, const struct ns_errors *errors)
{
    fprintf(text, "stats_%s_io_errors: %ju\nstats_%s_io_error_last: %ju\nstats_%s_faults: %ju\n",
            name, (uintmax_t)errors->io_errors, name, (uintmax_t)errors->last, name,
            (uintmax_t)errors->faults);
}

static void print_free(FILE *text, const char *name, int dir)
{
    struct statvfs status;
    uint64_t bytes = fstatvfs(dir, &status) == 0 ? status.f_bavail * status.f_frsize : 0;
    fprintf(text, "%s_disk_freespace_bytes: %ju\n%s_disk_freespace_mb: %.2f\n", name,
            (uintmax_t)bytes, name, (double)bytes / MB);
}

static uint64_t index_bytes(const struct ns *ns)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < ns->n_pairs; i++)
        sum += ns_index_size(ns, i);
    return sum;
}

static void print_sizes(FILE *text, const struct ns *ns)
{
    uint64_t index = ns->damaged ? 0 : index_bytes(ns);
    uint64_t next = ns->damaged || ns->mode == FORMAT_USER ? 0 : ns_next_id(ns);
    fprintf(text,
            "data_size_bytes: %ju\ndata_size_mb: %.2f\ndata_limits_bytes: %ju\n"
            "index_size_bytes: %ju\nindex_size_kb: %.2f\nnext_internal_id: 0x%016jx\nmode: %s\n",
            (uintmax_t)ns->live_bytes, (double)ns->live_bytes / MB, (uintmax_t)ns->maxsize,
            (uintmax_t)index, (double)index / 1024.0, (uintmax_t)__builtin_bswap64(next),
            ns->mode == FORMAT_SEQ ? "sequential" : "userkey");
}

static void print_paths(FILE *text, const struct realm *realm, const struct ns *ns)
{
    uint32_t last = ns->n_pairs ? ns->n_pairs - 1 : 0;
    fprintf(text,
            "data_path: %s/%s\ndata_active: %s/%s/d%u\nindex_path: %s/%s\n"
            "index_active: %s/%s/i%u\ndata_current_id: %u\ndata_current_offset: %ju\n",
            realm->data_path, ns->name, realm->data_path, ns->name, last, realm->index_path,
            ns->name, realm->index_path, ns->name, last, last,
            (uintmax_t)(ns->damaged ? 0 : append_offset(&ns->data)));
}

static void print_namespace(FILE *text, const struct client *client, const struct ns *ns)
{
    fprintf(text,
            "# namespace\nname: %s\nentries: %ju\npublic: %s\nworm: %s\nlocked: %s\n"
            "password: %s\n",
            ns->name, (uintmax_t)ns->entries, yes_no(ns->is_public), yes_no(ns->worm),
            yes_no(ns->gate != NS_OPEN), yes_no(ns->password[0]));
    if (client->master)
        fprintf(text, "password_raw: %s\n", ns->password);
    print_sizes(text, ns);
    print_errors(text, "index", &ns->index_errors);
    print_errors(text, "data", &ns->data_errors);
    if (ns->maxsize > 0)
        fprintf(text, "space_available: %ju\n",
                (uintmax_t)(ns->maxsize > ns->live_bytes ? ns->maxsize - ns->live_bytes : 0));
    print_free(text, "index", ns->index_dir);
    print_free(text, "data", ns->data_dir);
    if (client->admin)
        print_paths(text, &client->server->realm, ns);
    if (!ns->described)
        fprintf(text, "closed: its descriptor is lost, and its password has to be set again\n");
    if (ns->damaged)
        fprintf(text, "out_of_service: %s\n", ns->damage);
}

void command_nsinfo(struct client *client, const struct args *args)
{
    char *bytes = NULL;
    size_t size = 0;
    if (!command_expect(client, args, 1))
        return;
    const struct ns *ns = realm_find(&client->server->realm, args->at[1].at, args->at[1].size);
    if (!ns) {
        command_error(client, "-Namespace not found");
        return;
    }
    FILE *text = open_memstream(&bytes, &size);
    if (text)
        print_namespace(text, client, ns);
    reply_text(client, text, &bytes, &size);
    free(bytes);
}

/* --- INDEX, HOOKS ---------------------------------------------------------------------------- */

static void reply_dirty(struct client *client)
{
    const struct ns *ns = client->ns;
    size_t n = 0;
    for (uint32_t i = 0; i < ns->n_pairs; i++)
        n += ns->pairs[i]->dirty;
    out_array(&client->out, n);
    for (uint32_t i = 0; i < ns->n_pairs; i++)
        if (ns->pairs[i]->dirty)
            out_integer(&client->out, i);
}

void command_index(struct client *client, const struct args *args)
{
    struct ns *ns = client->ns;
    if (args->n < 2) {
        command_error(client, "-Missing arguments");
    } else if (!command_word(&args->at[1], "DIRTY")) {
        command_error(client, "-Unknown INDEX subcommand");
    } else if (args->n == 2) {
        reply_dirty(client);
    } else if (!command_word(&args->at[2], "RESET")) {
        command_error(client, "-Unknown INDEX DIRTY subcommand");
    } else {
        for (uint32_t i = 0; i < ns->n_pairs; i++)
            ns->pairs[i]->dirty = false;
        command_ok(client);
    }
}

void command_hooks(struct client *client, const struct args *args)
{
    if (command_expect(client, args, 0))
        hooks_list(&client->server->hooks, &client->out);
}
