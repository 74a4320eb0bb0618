/* Walking the entries: forth, back, and into the past of one key. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "command.h"
#include "scan.h"
#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SCAN_NS = 2000000, /* for so long, like upstream */
    SCAN_MOST = 4096,  /* or so many */
    LOOK_MOST = 65536, /* of so many that are looked at, most of which may be dead */
    SCAN_LOOKS = 64,   /* between two looks at the clock */
};

static const char internal[] = "-Internal Error";

/* --- SCAN, RSCAN ----------------------------------------------------------------------------- */

struct part {
    size_t n;                  /* entries that live */
    bool is_last;              /* nothing is behind it */
    struct out items;          /* they, for their number comes before them */
    struct scan_cursor cursor; /* where to go on */
};

static void collect(struct scan *scan, struct part *part)
{
    struct scan_item item;
    bool lives = false;
    uint64_t end = clock_read_ns(CLOCK_MONOTONIC) + SCAN_NS;
    for (size_t looked = 1; part->n < SCAN_MOST && looked <= LOOK_MOST; looked++) {
        part->is_last = !scan_step(scan, &item, &lives);
        if (part->is_last)
            return;
        if (lives) {
            out_array(&part->items, 3);
            out_bulk(&part->items, item.key, item.cursor.key_size);
            out_integer(&part->items, item.length);
            out_integer(&part->items, item.time);
            part->n++;
        }
        if (lives || part->n == 0) /* a dead one may be changed by a compaction */
            part->cursor = item.cursor;
        if (looked % SCAN_LOOKS == 0 && clock_read_ns(CLOCK_MONOTONIC) > end)
            return;
    }
}

/* Where all is dead for long it has no entries, and only says where to go on. */
static void reply_scan(struct client *client, struct scan *scan)
{
    struct part part = {0};
    collect(scan, &part);
    if (part.items.overflown || (part.n == 0 && scan->failed)) {
        command_error(client, internal);
    } else if (part.n == 0 && part.is_last) {
        command_error(client, "-No more data");
    } else {
        out_array(&client->out, 2);
        out_bulk(&client->out, &part.cursor, sizeof part.cursor);
        out_array(&client->out, part.n);
        if (part.n > 0)
            out_add(&client->out, part.items.bytes, part.items.end);
    }
    out_free(&part.items);
}

static void scan_either(struct client *client, const struct args *args, bool backward)
{
    struct scan scan;
    struct scan_cursor cursor;
    if (args->n > 2) {
        command_error(client, "-Unexpected arguments");
        return;
    }
    if (args->n == 2 && args->at[1].size != sizeof cursor) {
        command_error(client, "-Invalid key format");
        return;
    }
    if (args->n == 2)
        memcpy(&cursor, args->at[1].at, sizeof cursor);
    enum store_status status =
        scan_begin(&scan, client->ns, backward, args->n == 2 ? &cursor : NULL);
    if (status == STORE_OK)
        reply_scan(client, &scan);
    else
        command_error(client, status == STORE_CORRUPT ? "-Invalid key format" : internal);
    scan_end(&scan);
}

void command_scan(struct client *client, const struct args *args)
{
    scan_either(client, args, false);
}

void command_rscan(struct client *client, const struct args *args)
{
    scan_either(client, args, true);
}

void command_kscan(struct client *client, const struct args *args)
{
    (void)args;
    command_error(client, "-Command disabled in release code, not yet available");
}

/* --- KEYCUR ---------------------------------------------------------------------------------- */

void command_keycur(struct client *client, const struct args *args)
{
    struct store_entry entry;
    struct scan_cursor cursor;
    const struct arg *key = &args->at[1];
    if (store_find(client->ns, key->at, key->size, &entry) != STORE_OK) {
        command_error(client, "-Key not found");
        return;
    }
    scan_cursor_of(&entry, (uint8_t)key->size, &cursor);
    out_bulk(&client->out, &cursor, sizeof cursor);
}

/* --- HISTORY --------------------------------------------------------------------------------- */

struct token {
    uint32_t file, offset;
} __attribute__((packed));

static void reply_history(struct client *client, const struct arg *key,
                          const struct store_entry *entry)
{
    struct token older = {entry->parent_file, entry->parent_offset};
    uint32_t time;
    char text[16];
    autofree uint8_t *payload =
        entry->length <= FORMAT_VALUE_MAX ? malloc(entry->length ? entry->length : 1) : NULL;
    enum store_status status =
        payload ? store_read(client->ns, entry, key->at, key->size, payload) : STORE_CORRUPT;
    if (status == STORE_OK)
        status = store_time(client->ns, entry, &time);
    if (status != STORE_OK) {
        command_error(client, "-No more history");
        return;
    }
    (void)snprintf(text, sizeof text, "%u", time);
    out_array(&client->out, 3);
    if (older.offset > 0)
        out_bulk(&client->out, &older, sizeof older);
    else
        out_nil(&client->out);
    out_text(&client->out, text);
    out_bulk(&client->out, payload, entry->length);
}

void command_history(struct client *client, const struct args *args)
{
    struct store_entry entry;
    struct token token = {0};
    if (args->n < 2 || args->n > 3) {
        command_error(client, "-Invalid arguments");
        return;
    }
    const struct arg *key = &args->at[1];
    if (key->size == 0 || key->size > FORMAT_KEY_MAX) {
        command_error(client, "-Invalid arguments (invalid key)");
        return;
    }
    if (args->n == 3 && args->at[2].size != sizeof token) {
        command_error(client, "-Invalid arguments (index query)");
        return;
    }
    if (args->n == 3) {
        memcpy(&token, args->at[2].at, sizeof token);
        if (token.offset == 0 && token.file == 0) {
            command_error(client, "-No more history");
            return;
        }
    } else {
        if (store_find(client->ns, key->at, key->size, &entry) != STORE_OK) {
            command_error(client, "-Key not found");
            return;
        }
        token = (struct token){entry.index_file, entry.index_offset};
    }
    if (store_at(client->ns, token.file, token.offset, key->at, key->size, &entry) != STORE_OK) {
        command_error(client, "-Invalid arguments (index query)");
        return;
    }
    if (command_has_room(client, entry.length))
        reply_history(client, key, &entry);
}

/* --- DATA RAW -------------------------------------------------------------------------------- */

static bool parse_number(const struct arg *arg, uint64_t *out)
{
    char text[24], *end;
    command_text(arg, text, sizeof text);
    *out = strtoull(text, &end, 10);
    return arg->size > 0 && arg->size < sizeof text && *end == '\0' && text[0] != '-';
}

static void reply_raw(struct client *client, int fd, uint64_t size, uint64_t offset)
{
    struct format_data_entry head;
    struct out *out = &client->out;
    char crc[16];
    uint64_t rest = size - offset;
    if (rest < sizeof head || io_read(fd, IO_DATA, &head, sizeof head, offset) < 0 ||
        head.flags & FORMAT_TOMBSTONE || head.length > FORMAT_VALUE_MAX || head.key_size == 0 ||
        format_data_size(head.key_size, head.length) > rest) {
        command_error(client, "-Unexpected Internal Error");
        return;
    }
    if (!command_has_room(client, head.length))
        return;
    size_t body = (size_t)head.key_size + head.length;
    autofree uint8_t *bytes = malloc(body);
    if (!bytes || io_read(fd, IO_DATA, bytes, body, offset + sizeof head) < 0) {
        command_error(client, "-Unexpected Internal Error");
        return;
    }
    (void)snprintf(crc, sizeof crc, "0x%08x", head.crc);
    out_array(out, 6);
    out_bulk(out, bytes, head.key_size);
    out_integer(out, head.previous);
    out_text(out, crc);
    out_integer(out, head.flags);
    out_integer(out, head.time);
    out_bulk(out, bytes + head.key_size, head.length);
}

void command_data(struct client *client, const struct args *args)
{
    struct ns *ns = client->ns;
    uint64_t file, offset;
    if (args->n < 2) {
        command_error(client, "-Missing arguments");
        return;
    }
    if (!command_word(&args->at[1], "RAW")) {
        command_error(client, "-Unknown DATA subcommand");
        return;
    }
    if (!command_expect(client, args, 3))
        return;
    if (!parse_number(&args->at[2], &file) || !parse_number(&args->at[3], &offset) ||
        file >= ns->n_pairs || offset < FORMAT_DATA_HEADER) {
        command_error(client, "-Invalid Request");
        return;
    }
    int fd = ns_flush(ns) < 0 ? -1 : file_fd(&ns->pairs[file]->data);
    if (fd < 0)
        command_error(client, "-Unexpected Internal Error");
    else if (offset >= ns_data_size(ns, (uint32_t)file))
        command_error(client, "-EOF");
    else
        reply_raw(client, fd, ns_data_size(ns, (uint32_t)file), offset);
}
