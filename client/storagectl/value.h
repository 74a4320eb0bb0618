/*
 * Messages by their descriptors: every field of every reply can be named, told in words, and
 * counted, without code for each. Tables, records and JSON all read the same message through here.
 */
#ifndef STORAGECTL_VALUE_H
#define STORAGECTL_VALUE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdio.h>

enum { VALUE_DEPTH_MAX = 8 };

/* One field of one message. */
struct value {
    const ProtobufCMessage *message;
    const ProtobufCFieldDescriptor *field;
};

/* How many there are: 0 or 1, more where the field is repeated. A scalar is always there, a member
 * of a oneof only when it is the chosen one. */
size_t value_count(const struct value *value);
/* The address of one: of the number, the `char *`, the sub-message pointer. */
const void *value_at(const struct value *value, size_t index);
const ProtobufCMessage *value_message_at(const struct value *value, size_t index);

bool value_is_number(const ProtobufCFieldDescriptor *field);

/* "DISK_TYPE_SSD" of DiskType as "ssd"; NULL for a number that has no name. */
const char *value_enum_name(const ProtobufCEnumDescriptor *type, int number, char buffer[64]);
/* The other way round; -ERR_INVALID_ARGUMENT. The unspecified one cannot be named. */
int value_enum_parse(const ProtobufCEnumDescriptor *type, const char *name, int *out_number);

/* For people: sizes as 1.5G, times as dates, enums by name; all escaped. Sub-messages are not
 * printed. */
void value_print(const struct value *value, size_t index, FILE *out);

/*
 * What stands at a path of field names, "capacity.usable", with all elements of what is repeated on
 * the way, separated by blanks. Allocated; NULL without memory. Empty where nothing is there.
 */
char *value_text(const ProtobufCMessage *message, const char *path);
/* The field that a path ends at; NULL if there is none. */
const ProtobufCFieldDescriptor *value_find(const ProtobufCMessageDescriptor *type,
                                           const char *path);
/* Where a message has this field, which it must have and not repeat: to be read or set there. */
void *value_place(ProtobufCMessage *message, const char *name);

#endif
