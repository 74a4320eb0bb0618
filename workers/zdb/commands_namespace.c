/* Namespaces: made, removed, and their properties. */
#include "base/cleanup.h"
#include "base/log.h"
#include "command.h"
#include "compact.h"
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char not_found[] = "-Namespace not found";

enum { VALUE_MAX = 63 };

static struct ns *find(struct client *client, const struct arg *name, const char *otherwise)
{
    struct ns *ns = realm_find(&client->server->realm, name->at, name->size);
    if (!ns)
        command_error(client, otherwise);
    return ns;
}

/* Arguments that may not be empty. */
static bool none_empty(struct client *client, const struct args *args)
{
    for (uint32_t i = 1; i < args->n; i++)
        if (args->at[i].size == 0) {
            command_error(client, "-Invalid argument");
            return false;
        }
    return true;
}

static void tell_hook(struct client *client, const char *event, const char *name)
{
    hooks_tell(&client->server->hooks, event, hooks_args(name));
}

/* --- NSNEW, NSDEL, NSLIST -------------------------------------------------------------------- */

static bool is_allowed(const struct arg *name)
{
    static const char *const reserved[] = {".", "..", REALM_DEFAULT};
    for (size_t i = 0; i < array_length(reserved); i++)
        if (name->size == strlen(reserved[i]) && memcmp(name->at, reserved[i], name->size) == 0)
            return false;
    char text[FORMAT_NAME_MAX + 1];
    command_text(name, text, sizeof text);
    return !ns_is_aside(text) && !memchr(name->at, '/', name->size) &&
           !memchr(name->at, '\0', name->size);
}

static bool has_descriptors(const struct server *server, const char *name, struct err *err)
{
    if (listen_has_room(server))
        return true;
    (void)err_set(err, ERR_RESOURCE_EXHAUSTED, 0, name, "too few descriptors are left");
    return false;
}

void command_nsnew(struct client *client, const struct args *args)
{
    autoerr struct err err = {0};
    char name[FORMAT_NAME_MAX + 1];
    struct realm *realm = &client->server->realm;
    if (!command_expect(client, args, 1) || !none_empty(client, args))
        return;
    const struct arg *arg = &args->at[1];
    if (arg->size > FORMAT_NAME_MAX) {
        command_error(client, "-Namespace too long");
    } else if (!is_allowed(arg)) {
        command_error(client, "-This name is not allowed");
    } else if (realm_find(realm, arg->at, arg->size)) {
        command_error(client, "-This namespace is not available");
    } else {
        command_text(arg, name, sizeof name);
        if (!has_descriptors(client->server, name, &err) || !realm_create(realm, name, &err)) {
            log_err(LOG_WARNING, "namespace cannot be made", &err);
            command_error(client, "-Could not create namespace");
            return;
        }
        tell_hook(client, "namespace-created", name);
        command_ok(client);
    }
}

/* The thread that syncs must not have it, nor a compaction. */
static void take_out_of_use(struct client *client, struct ns *ns)
{
    struct server *server = client->server;
    compact_cancel(server->compactor, ns);
    if (ns->syncing)
        sync_wait(server->syncer);
    server_evict(server, ns);
}

void command_nsdel(struct client *client, const struct args *args)
{
    char name[FORMAT_NAME_MAX + 1];
    if (!command_expect(client, args, 1) || !none_empty(client, args))
        return;
    struct ns *ns = find(client, &args->at[1], "-This namespace doesn't exists");
    if (!ns)
        return;
    if (strcmp(ns->name, REALM_DEFAULT) == 0) {
        command_error(client, "-Cannot remove default namespace");
        return;
    }
    if (client->ns == ns) {
        command_error(client, "-Cannot remove namespace you're currently using.");
        return;
    }
    command_text(&args->at[1], name, sizeof name);
    int rc = ns_begin_removal(ns, client->server->realm.index_root);
    if (rc < 0 && rc != -ENOENT) { /* it stays; without a directory there is nothing to stay */
        log_error("a namespace cannot be removed", "namespace", name, "why", strerror(-rc));
        command_error(client, "-Could not delete this namespace");
        return;
    }
    server_tell_closing(client->server, ns);
    take_out_of_use(client, ns);
    if (realm_remove(&client->server->realm, ns) < 0) {
        command_error(client, "-Could not delete this namespace");
        return;
    }
    tell_hook(client, "namespace-deleted", name);
    command_ok(client);
}

void command_nslist(struct client *client, const struct args *args)
{
    size_t n = 0;
    if (!command_expect(client, args, 0))
        return;
    for (const struct ns *ns = client->server->realm.first; ns; ns = ns->next)
        n++;
    out_array(&client->out, n);
    for (const struct ns *ns = client->server->realm.first; ns; ns = ns->next)
        out_text(&client->out, ns->name);
}

/* --- NSSET ----------------------------------------------------------------------------------- */

/* Each sets its field; NULL, or the refusal. */
static const char *set_maxsize(struct ns *ns, const char *value)
{
    ns->maxsize = (uint64_t)strtoll(value, NULL, 10);
    return NULL;
}

static const char *set_password(struct ns *ns, const char *value)
{
    (void)snprintf(ns->password, sizeof ns->password, "%s", strcmp(value, "*") == 0 ? "" : value);
    return NULL;
}

static const char *set_public(struct ns *ns, const char *value)
{
    ns->is_public = value[0] == '1';
    return NULL;
}

static const char *set_worm(struct ns *ns, const char *value)
{
    ns->worm = value[0] == '1';
    return NULL;
}

static int write_mode(struct ns *ns, enum format_mode mode)
{
    struct format_index_header header;
    ns->mode = mode;
    ns_index_header(ns, 0, &header);
    int fd = file_fd(&ns_active(ns)->index);
    int rc = fd < 0 ? fd : io_write(fd, IO_INDEX, &header, sizeof header, 0);
    return rc < 0 ? rc : io_sync(fd);
}

static const char *set_mode(struct ns *ns, const char *value)
{
    enum format_mode before = ns->mode;
    bool sequential = strcmp(value, "seq") == 0;
    if (!sequential && strcmp(value, "user") != 0)
        return "-Invalid property value (expected: user, seq)";
    if (!ns->config->mixed)
        return "-This server instance is configured to use a single runtime mode";
    if (ns->damaged || ns_was_written(ns))
        return "-Cannot change mode of used namespace";
    if (!sequential && !ns->keys && !(ns->keys = keys_new()))
        return "-Internal memory error";
    if (write_mode(ns, sequential ? FORMAT_SEQ : FORMAT_USER) == 0)
        return NULL;
    if (write_mode(ns, before) < 0)
        ns_doubt(ns, "its mode cannot be put on the disk");
    return "-Cannot write index right now";
}

static const char *set_gate(struct ns *ns, const char *value, enum ns_gate gate)
{
    ns->gate = value[0] == '1' ? gate : NS_OPEN;
    return NULL;
}

static const char *set_lock(struct ns *ns, const char *value)
{
    return set_gate(ns, value, NS_LOCKED);
}

static const char *set_freeze(struct ns *ns, const char *value)
{
    return set_gate(ns, value, NS_FROZEN);
}

static const struct property {
    const char *name;
    const char *(*set)(struct ns *ns, const char *value);
    bool is_kept; /* in the descriptor; not for `default` */
} properties[] = {
    {"maxsize", set_maxsize, true}, {"password", set_password, true}, {"public", set_public, true},
    {"worm", set_worm, true},       {"mode", set_mode, false},        {"lock", set_lock, false},
    {"freeze", set_freeze, false},
};

static const struct property *find_property(const struct arg *name)
{
    for (size_t i = 0; i < array_length(properties); i++)
        if (name->size == strlen(properties[i].name) &&
            memcmp(name->at, properties[i].name, name->size) == 0)
            return &properties[i];
    return NULL;
}

/* In memory; NULL, or why it was not. */
static const char *set_property(struct ns *ns, const struct property *property, const char *value)
{
    if (property->is_kept && !settings_begin(ns))
        return "-Internal memory error";
    const char *refusal = property->set(ns, value);
    ns->described = ns->described || property->is_kept;
    return refusal;
}

/* What is wrong with the request itself; NULL if nothing. */
static const char *check_nsset(const struct ns *ns, const struct property *property,
                               const struct arg *value)
{
    if (value->size > VALUE_MAX)
        return "-Argument too long";
    if (!property)
        return "-Invalid property";
    if (property->is_kept && strcmp(ns->name, REALM_DEFAULT) == 0)
        return "-Cannot update default namespace";
    if (property->is_kept && !ns->described && property->set != set_password)
        return "-Namespace is closed, its descriptor is lost: set its password first";
    return NULL;
}

void command_nsset(struct client *client, const struct args *args)
{
    char value[VALUE_MAX + 1];
    if (!command_expect(client, args, 3) || !none_empty(client, args))
        return;
    struct ns *ns = find(client, &args->at[1], not_found);
    if (!ns)
        return;
    const struct property *property = find_property(&args->at[2]);
    const char *refusal = check_nsset(ns, property, &args->at[3]);
    if (!refusal && property) {
        command_text(&args->at[3], value, sizeof value);
        refusal = set_property(ns, property, value);
    }
    if (refusal)
        command_error(client, refusal);
    else if (property && property->is_kept)
        settings_answer(client, ns);
    else
        command_ok(client);
    if (!client->failed)
        tell_hook(client, "namespace-updated", ns->name);
}

/* --- NSJUMP, RELOAD, FLUSH, COMPACT ---------------------------------------------------------- */

void command_nsjump(struct client *client, const struct args *args)
{
    struct ns *ns = client->ns;
    struct server *server = client->server;
    if (!command_expect(client, args, 0))
        return;
    if (!server_note_write(server, client, ns) || ns_rotate(ns) < 0)
        command_error(client, "-Cannot write data right now");
    else
        command_ok(client);
}

/* Sessions stay in it. */
static bool load_again(struct client *client, struct ns *ns)
{
    autoerr struct err err = {0};
    if (ns->index_dir < 0 && !has_descriptors(client->server, ns->name, &err))
        return false;
    compact_cancel(client->server->compactor, ns);
    return realm_reload(&client->server->realm, ns, &err) == 0;
}

/* What was put there while we ran: it is loaded whole, or not at all. */
static struct ns *take(struct client *client, const struct arg *arg, struct err *err)
{
    char name[FORMAT_NAME_MAX + 1];
    if (arg->size > FORMAT_NAME_MAX || !is_allowed(arg)) {
        (void)err_set(err, ERR_NOT_FOUND, 0, NULL, "no namespace has such a name");
        return NULL;
    }
    command_text(arg, name, sizeof name);
    return has_descriptors(client->server, name, err)
               ? realm_take(&client->server->realm, name, err)
               : NULL;
}

void command_reload(struct client *client, const struct args *args)
{
    autoerr struct err err = {0};
    if (!command_expect(client, args, 1) || !none_empty(client, args))
        return;
    const struct arg *arg = &args->at[1];
    struct ns *ns = realm_find(&client->server->realm, arg->at, arg->size);
    bool loaded = ns ? load_again(client, ns) : (ns = take(client, arg, &err)) != NULL;
    if (!loaded) {
        command_error(client, err.code == ERR_NOT_FOUND
                                  ? not_found
                                  : "-Namespace is out of service, its files are damaged");
        return;
    }
    tell_hook(client, "namespace-reloaded", ns->name);
    command_ok(client);
}

void command_flush(struct client *client, const struct args *args)
{
    autoerr struct err err = {0};
    struct ns *ns = client->ns;
    struct server *server = client->server;
    if (!command_expect(client, args, 0))
        return;
    if (ns->is_public || !ns->password[0]) {
        command_error(client, "-Flushing public namespace denied");
        return;
    }
    compact_cancel(server->compactor, ns);
    if (ns->syncing)
        sync_wait(server->syncer);
    int rc = ns_empty(ns);
    if (rc == 0)
        rc = realm_reload(&server->realm, ns, &err);
    if (rc == 0)
        command_ok(client);
    else
        command_error(client, "-Cannot write data right now");
}

void command_compact(struct client *client, const struct args *args)
{
    if (!command_expect(client, args, 0))
        return;
    compact_ask(client->server->compactor, client->ns);
    client->server->sync_due_ms = client->server->now_ms;
    command_ok(client);
}
