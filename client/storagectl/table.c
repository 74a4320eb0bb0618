/* See the header. libsmartcols gets text that is escaped already, and is told not to do so again.
 */
#include "table.h"

#include "base/cleanup.h"
#include "value.h"

#include <errno.h>
#include <libsmartcols.h>
#include <string.h>

enum { PATH_MAX_BYTES = 256 };

static void cleanup_table(struct libscols_table **table)
{
    scols_unref_table(*table);
}
#define autotable __attribute__((cleanup(cleanup_table)))

static int no_memory(struct err *err)
{
    return err_errno(err, ENOMEM, NULL, "cannot print a table");
}

static struct libscols_table *new_table(FILE *out)
{
    struct libscols_table *table = scols_new_table();
    if (!table)
        return NULL;
    (void)scols_table_enable_noencoding(table, 1);
    (void)scols_table_set_stream(table, out);
    return table;
}

static int add_columns(struct libscols_table *table, const struct column *columns,
                       const ProtobufCMessageDescriptor *type)
{
    for (; columns->header; columns++) {
        const ProtobufCFieldDescriptor *field = type ? value_find(type, columns->path) : NULL;
        int flags = field && value_is_number(field) ? SCOLS_FL_RIGHT : 0;
        if (!scols_table_new_column(table, columns->header, 0, flags))
            return -ERR_RESOURCE_EXHAUSTED;
    }
    return 0;
}

static int add_row(struct libscols_table *table, const struct column *columns,
                   const ProtobufCMessage *row)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);
    if (!line)
        return -ERR_RESOURCE_EXHAUSTED;
    for (size_t i = 0; columns[i].header; i++) {
        autofree char *text = value_text(row, columns[i].path);
        if (!text || scols_line_set_data(line, i, *text ? text : "-") != 0)
            return -ERR_RESOURCE_EXHAUSTED;
    }
    return 0;
}

int table_print(const struct column *columns, const ProtobufCMessage *const *rows, size_t n_rows,
                FILE *out, struct err *err)
{
    autotable struct libscols_table *table = new_table(out);
    if (!table || add_columns(table, columns, n_rows ? rows[0]->descriptor : NULL) < 0)
        return no_memory(err);
    for (size_t i = 0; i < n_rows; i++)
        if (add_row(table, columns, rows[i]) < 0)
            return no_memory(err);
    if (n_rows > 0)
        return scols_print_table(table) == 0 ? 0 : no_memory(err);
    for (; columns->header; columns++) /* libsmartcols prints nothing of an empty table */
        (void)fprintf(out, "%s%s", columns->header, columns[1].header ? " " : "\n");
    return 0;
}

/* --- records --------------------------------------------------------------------------------- */

static int add_pair(struct libscols_table *table, const char *path, const struct value *value,
                    size_t index)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return -ERR_RESOURCE_EXHAUSTED;
    value_print(value, index, out);
    if (fclose(out) != 0)
        text = NULL;
    autofree char *owned = text;
    struct libscols_line *line = owned ? scols_table_new_line(table, NULL) : NULL;
    if (!line || scols_line_set_data(line, 0, path) != 0 ||
        scols_line_set_data(line, 1, owned) != 0)
        return -ERR_RESOURCE_EXHAUSTED;
    return 0;
}

static int add_message(struct libscols_table *table, const char *prefix,
                       const ProtobufCMessage *message, unsigned depth)
{
    int rc = 0;
    for (unsigned i = 0; i < message->descriptor->n_fields && rc == 0; i++) {
        struct value value = {message, &message->descriptor->fields[i]};
        char path[PATH_MAX_BYTES];
        (void)snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", value.field->name);
        for (size_t j = 0; j < value_count(&value) && rc == 0; j++) {
            if (value.field->type != PROTOBUF_C_TYPE_MESSAGE)
                rc = add_pair(table, path, &value, j);
            else if (depth < VALUE_DEPTH_MAX)
                rc = add_message(table, path, value_message_at(&value, j), depth + 1);
        }
    }
    return rc;
}

int table_print_record(const ProtobufCMessage *message, FILE *out, struct err *err)
{
    autotable struct libscols_table *table = new_table(out);
    if (!table || !scols_table_new_column(table, "FIELD", 0, 0) ||
        !scols_table_new_column(table, "VALUE", 0, 0))
        return no_memory(err);
    (void)scols_table_enable_noheadings(table, 1);
    if (add_message(table, "", message, 0) < 0 || scols_print_table(table) != 0)
        return no_memory(err);
    return 0;
}
