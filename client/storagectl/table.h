/* Tables for people, by libsmartcols, over messages read by their descriptors. */
#ifndef STORAGECTL_TABLE_H
#define STORAGECTL_TABLE_H

#include "base/error.h"

#include <protobuf-c/protobuf-c.h>
#include <stdio.h>

struct column {
    const char *header;
    const char *path; /* of a field: "capacity.usable" */
};

/* Columns end at a NULL header. Numbers stand to the right. */
int table_print(const struct column *columns, const ProtobufCMessage *const *rows, size_t n_rows,
                FILE *out, struct err *err);

/* One message, a line per field that is there; those of sub-messages as "pool.fsid". */
int table_print_record(const ProtobufCMessage *message, FILE *out, struct err *err);

#endif
