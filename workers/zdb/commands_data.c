/* Keys and values. */
#include "base/cleanup.h"
#include "command.h"
#include "server.h"
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char read_only[] = "-Namespace is in read-only mode";
static const char frozen[] = "-Namespace is temporarily frozen (read-write disabled)";
static const char locked[] = "-Namespace is temporarily locked (read-only)";
static const char no_memory[] = "-Internal memory error";
static const char internal[] = "-Internal Error";

/* A data file that is not there may be brought by the hook. */
static bool fetch_data_file(struct client *client, const struct store_entry *entry)
{
    char path[FORMAT_NAME_MAX + FILE_NAME_SIZE + 4096];
    struct server *server = client->server;
    (void)snprintf(path, sizeof path, "%s/%s/d%u", server->realm.data_path, client->ns->name,
                   entry->data_file);
    return server->hooks.file && hooks_ask(&server->hooks, "missing-data", hooks_args(path)) == 0;
}

static enum store_status read_value(struct client *client, const struct store_entry *entry,
                                    const struct arg *key, void *out)
{
    enum store_status status = store_read(client->ns, entry, key->at, key->size, out);
    if (status == STORE_NO_DATA_FILE && fetch_data_file(client, entry))
        status = store_read(client->ns, entry, key->at, key->size, out);
    return status;
}

/* The payload is read to where it is sent from. False if there is no room for it now. */
static bool reply_value(struct client *client, const struct arg *key)
{
    struct store_entry entry;
    struct out *out = &client->out;
    enum store_status status = store_find(client->ns, key->at, key->size, &entry);
    if (status == STORE_MISSING) {
        out_nil(out);
        return true;
    }
    if (status != STORE_OK || entry.length > FORMAT_VALUE_MAX) {
        command_error(client, internal);
        return true;
    }
    if (!command_has_room(client, entry.length))
        return false;
    uint64_t before = out_position(out);
    out_bulk_head(out, entry.length);
    uint8_t *to = out_reserve(out, (size_t)entry.length + 2);
    if (!to)
        return true; /* out_reserve() has noted it */
    if (read_value(client, &entry, key, to) == STORE_OK) {
        memcpy(to + entry.length, "\r\n", 2);
        out_advance(out, (size_t)entry.length + 2);
    } else {
        out_cut(out, before);
        command_error(client, internal);
    }
    return true;
}

void command_get(struct client *client, const struct args *args)
{
    (void)reply_value(client, &args->at[1]);
}

/* One of those of an MGET. Between two parts of it anything may have happened to the namespace. */
static bool reply_one_of_many(struct client *client, const struct arg *key)
{
    if (key->size > FORMAT_KEY_MAX)
        command_error(client, "-Invalid key");
    else if (key->size == 0)
        out_nil(&client->out);
    else if (!client->ns || client->ns->damaged)
        command_error(client, internal);
    else
        return reply_value(client, key);
    return true;
}

/* As far as what the client is owed stays small, and there is room; it goes on from there. */
void command_mget(struct client *client, const struct args *args)
{
    if (args->n < 2) {
        command_error(client, "-Invalid arguments");
        return;
    }
    if (client->next_arg == 0) {
        out_array(&client->out, args->n - 1);
        client->next_arg = 1;
    }
    for (; client->next_arg < args->n; client->next_arg++)
        if (out_size(&client->out) > LIMITS_OUT_PAUSE ||
            !reply_one_of_many(client, &args->at[client->next_arg]))
            return;
    client->next_arg = 0;
}

/* --- SET ------------------------------------------------------------------------------------- */

/* Why nothing may be written at all; NULL if it may. */
static const char *find_gate(const struct client *client)
{
    if (!client->writable)
        return read_only;
    if (client->ns->gate == NS_FROZEN)
        return frozen;
    return client->ns->gate == NS_LOCKED ? locked : NULL;
}

/* Decimal; what is no number is 0. */
static uint32_t parse_time(const struct arg *arg)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < arg->size && arg->at[i] >= '0' && arg->at[i] <= '9'; i++)
        value = value * 10 + (uint64_t)(arg->at[i] - '0');
    return (uint32_t)value;
}

static bool has_room(const struct ns *ns, const struct arg *value,
                     const struct store_entry *existing)
{
    uint64_t replaced = existing ? existing->length : 0;
    return ns->maxsize == 0 || ns->live_bytes + value->size <= ns->maxsize ||
           ns->live_bytes + value->size - ns->maxsize <= replaced;
}

static const char *set_failure(enum store_status status)
{
    switch (status) {
    case STORE_BAD_ID:
        return "-Invalid key, only update authorized";
    case STORE_NO_MEMORY:
        return no_memory;
    case STORE_INDEX_FAILED:
        return "-Cannot write index right now";
    default:
        return "-Cannot write data right now";
    }
}

static void set(struct client *client, const struct args *args, const struct store_entry *existing)
{
    const struct arg *key = &args->at[1], *value = &args->at[2];
    struct server *server = client->server;
    struct ns *ns = client->ns;
    uint64_t id = 0;
    struct store_write write = {
        .key = key->at,
        .key_size = (uint8_t)key->size,
        .value = value->at,
        .length = value->size,
        .time = args->n == 4 ? parse_time(&args->at[3]) : server->time,
    };
    if (!server_note_write(server, client, ns)) {
        command_error(client, no_memory);
        return;
    }
    enum store_status status = store_set(ns, &write, existing, &id);
    if (status == STORE_UNCHANGED)
        out_nil(&client->out);
    else if (status != STORE_OK)
        command_error(client, set_failure(status));
    else if (key->size == 0)
        out_bulk(&client->out, &id, sizeof id);
    else
        out_bulk(&client->out, key->at, key->size);
}

void command_set(struct client *client, const struct args *args)
{
    struct store_entry entry, *existing = NULL;
    struct ns *ns = client->ns;
    if (args->n != 3 && args->n != 4) {
        command_error(client, "-Unexpected arguments");
        return;
    }
    const struct arg *key = &args->at[1], *value = &args->at[2];
    if (args->n == 4 && !client->admin) {
        client->server->counters.unauthorized++;
        command_error(client, "-Permission denied");
        return;
    }
    if (key->size > FORMAT_KEY_MAX) {
        command_error(client, "-Key too large");
        return;
    }
    const char *gate = find_gate(client);
    enum store_status found =
        gate || key->size == 0 ? STORE_MISSING : store_find(ns, key->at, key->size, &entry);
    if (found == STORE_OK)
        existing = &entry;
    if (gate)
        command_error(client, gate);
    else if (found == STORE_CORRUPT)
        command_error(client, internal);
    else if (existing && ns->worm)
        command_error(client, "-Namespace is protected by worm mode");
    else if (!has_room(ns, value, existing))
        command_error(client, "-No space left on this namespace");
    else if (ns->mode == FORMAT_USER && key->size == 0)
        command_error(client, "-Invalid argument, key needed");
    else
        set(client, args, existing);
}

/* --- DEL ------------------------------------------------------------------------------------- */

void command_del(struct client *client, const struct args *args)
{
    struct store_entry entry;
    struct ns *ns = client->ns;
    struct server *server = client->server;
    if (args->n != 2 && args->n != 3) {
        command_error(client, "-Unexpected arguments");
        return;
    }
    const struct arg *key = &args->at[1];
    const char *gate = find_gate(client);
    if (args->n == 3 && !client->admin)
        command_error(client, "-Permission denied");
    else if (key->size == 0)
        command_error(client, "-Invalid argument");
    else if (key->size > FORMAT_KEY_MAX)
        command_error(client, "-Invalid key");
    else if (gate)
        command_error(client, gate);
    else if (ns->worm)
        command_error(client, "-Cannot delete a key when namespace is in worm mode");
    else if (store_find(ns, key->at, key->size, &entry) != STORE_OK)
        command_error(client, "-Key not found");
    else if (!server_note_write(server, client, ns))
        command_error(client, no_memory);
    else {
        uint32_t time = args->n == 3 ? parse_time(&args->at[2]) : server->time;
        enum store_status status = store_delete(ns, key->at, (uint8_t)key->size, &entry, time);
        if (status == STORE_OK)
            command_ok(client);
        else
            command_error(client, status == STORE_INDEX_FAILED ? "-Cannot delete key (index)"
                                                               : "-Cannot delete key (data)");
    }
}

/* --- what is known of a key ------------------------------------------------------------------ */

/* Nil where there is no such key. */
static bool find_or_nil(struct client *client, const struct arg *key, struct store_entry *out)
{
    enum store_status status = store_find(client->ns, key->at, key->size, out);
    if (status == STORE_OK)
        return true;
    if (status == STORE_MISSING)
        out_nil(&client->out);
    else
        command_error(client, internal);
    return false;
}

void command_exists(struct client *client, const struct args *args)
{
    struct store_entry entry;
    const struct arg *key = &args->at[1];
    out_integer(&client->out, store_find(client->ns, key->at, key->size, &entry) == STORE_OK);
}

void command_length(struct client *client, const struct args *args)
{
    struct store_entry entry;
    if (find_or_nil(client, &args->at[1], &entry))
        out_integer(&client->out, entry.length);
}

void command_keytime(struct client *client, const struct args *args)
{
    struct store_entry entry;
    uint32_t time;
    if (!find_or_nil(client, &args->at[1], &entry))
        return;
    if (store_time(client->ns, &entry, &time) == STORE_OK)
        out_integer(&client->out, time);
    else
        command_error(client, internal);
}

/* 1: as it was written, 0: changed since, -1: cannot be read. */
void command_check(struct client *client, const struct args *args)
{
    struct store_entry entry;
    const struct arg *key = &args->at[1];
    if (!find_or_nil(client, key, &entry))
        return;
    autofree uint8_t *payload =
        entry.length <= FORMAT_VALUE_MAX ? malloc(entry.length ? entry.length : 1) : NULL;
    uint64_t errors = client->ns->data_errors.io_errors;
    enum store_status status =
        payload ? read_value(client, &entry, key, payload) : STORE_NO_DATA_FILE;
    bool unreadable = status == STORE_NO_DATA_FILE || client->ns->data_errors.io_errors > errors;
    out_integer(&client->out, status == STORE_OK ? 1 : unreadable ? -1 : 0);
}

void command_dbsize(struct client *client, const struct args *args)
{
    if (command_expect(client, args, 0))
        out_integer(&client->out, (int64_t)client->ns->entries);
}
