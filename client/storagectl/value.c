/*
 * Reading messages by descriptor. What unit a number has is told by its name, as style asks:
 * `_bytes`, `_us`, and the figures of PoolCapacity, which are all bytes; `mode` is octal.
 */
#include "value.h"

#include "base/cleanup.h"
#include "base/quantity.h"
#include "storage/v1/pool.pb-c.h"
#include "text.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

/* --- fields ---------------------------------------------------------------------------------- */

static const void *member(const ProtobufCMessage *message, unsigned offset)
{
    return (const char *)message + offset;
}

size_t value_count(const struct value *value)
{
    const ProtobufCFieldDescriptor *field = value->field;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)member(value->message, field->quantifier_offset);
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
        *(const uint32_t *)member(value->message, field->quantifier_offset) != field->id)
        return 0;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(const void *const *)member(value->message, field->offset) != NULL;
    return 1;
}

static size_t element_size(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return sizeof(uint32_t);
    }
}

const void *value_at(const struct value *value, size_t index)
{
    const void *place = member(value->message, value->field->offset);
    if (value->field->label != PROTOBUF_C_LABEL_REPEATED)
        return place;
    return *(const char *const *)place + index * element_size(value->field);
}

const ProtobufCMessage *value_message_at(const struct value *value, size_t index)
{
    return *(const ProtobufCMessage *const *)value_at(value, index);
}

/* --- enums ----------------------------------------------------------------------------------- */

/* In "ZDBState" a word begins at Z and at S. */
static bool begins_word(const char *name, const char *at)
{
    return at != name && isupper((unsigned char)*at) &&
           (islower((unsigned char)at[-1]) || islower((unsigned char)at[1]));
}

/* The length of "DISK_TYPE_" for DiskType; 0 where the values do not begin so. */
static size_t prefix_length(const ProtobufCEnumDescriptor *type, const char *value_name)
{
    size_t n = 0;
    for (const char *p = type->short_name; *p; p++) {
        if (begins_word(type->short_name, p) && value_name[n++] != '_')
            return 0;
        if (value_name[n++] != toupper((unsigned char)*p))
            return 0;
    }
    return value_name[n] == '_' ? n + 1 : 0;
}

const char *value_enum_name(const ProtobufCEnumDescriptor *type, int number, char buffer[64])
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, number);
    if (!value)
        return NULL;
    const char *name = value->name + prefix_length(type, value->name);
    size_t n = 0;
    for (; n < 63 && name[n]; n++)
        buffer[n] = (char)tolower((unsigned char)name[n]);
    buffer[n] = '\0';
    return buffer;
}

int value_enum_parse(const ProtobufCEnumDescriptor *type, const char *name, int *out_number)
{
    for (unsigned i = 0; i < type->n_values; i++) {
        char known[64];
        int number = type->values[i].value;
        if (number != 0 && value_enum_name(type, number, known) && strcasecmp(known, name) == 0) {
            *out_number = number;
            return 0;
        }
    }
    return -ERR_INVALID_ARGUMENT;
}

/* --- printing -------------------------------------------------------------------------------- */

enum unit { UNIT_NONE, UNIT_BYTES, UNIT_TIME_US, UNIT_OCTAL };

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static enum unit unit_of(const struct value *value)
{
    const char *name = value->field->name;
    if (value->message->descriptor == &storage__v1__pool_capacity__descriptor ||
        ends_with(name, "_bytes"))
        return UNIT_BYTES;
    if (ends_with(name, "_us"))
        return UNIT_TIME_US;
    return strcmp(name, "mode") == 0 ? UNIT_OCTAL : UNIT_NONE;
}

static void print_time(uint64_t us, FILE *out)
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm utc;
    char text[32];
    if (us == 0 || !gmtime_r(&seconds, &utc))
        return;
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)fprintf(out, "%s.%03uZ", text, (unsigned)(us / 1000 % 1000));
}

static void print_u64(enum unit unit, uint64_t number, FILE *out)
{
    char text[QUANTITY_TEXT_SIZE];
    if (unit == UNIT_BYTES)
        (void)fputs(quantity_format_human(number, text), out);
    else if (unit == UNIT_TIME_US)
        print_time(number, out);
    else if (unit == UNIT_OCTAL)
        (void)fprintf(out, "%04" PRIo64, number);
    else
        (void)fprintf(out, "%" PRIu64, number);
}

bool value_is_number(const ProtobufCFieldDescriptor *field)
{
    return field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_BYTES &&
           field->type != PROTOBUF_C_TYPE_MESSAGE && field->type != PROTOBUF_C_TYPE_BOOL &&
           field->type != PROTOBUF_C_TYPE_ENUM;
}

static void print_bytes(const ProtobufCBinaryData *bytes, FILE *out)
{
    for (size_t i = 0; i < bytes->len; i++)
        (void)fprintf(out, "%02x", bytes->data[i]);
}

void value_print(const struct value *value, size_t index, FILE *out)
{
    const void *at = value_at(value, index);
    char name[64];
    switch (value->field->type) {
    case PROTOBUF_C_TYPE_STRING:
        text_print(*(const char *const *)at, out);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        (void)fputs(*(const protobuf_c_boolean *)at ? "yes" : "no", out);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        if (value_enum_name(value->field->descriptor, *(const int *)at, name))
            (void)fputs(name, out);
        else
            (void)fprintf(out, "%d", *(const int *)at);
        break;
    case PROTOBUF_C_TYPE_UINT32:
        print_u64(unit_of(value), *(const uint32_t *)at, out);
        break;
    case PROTOBUF_C_TYPE_UINT64:
        print_u64(unit_of(value), *(const uint64_t *)at, out);
        break;
    case PROTOBUF_C_TYPE_INT32:
        (void)fprintf(out, "%" PRId32, *(const int32_t *)at);
        break;
    case PROTOBUF_C_TYPE_INT64:
        (void)fprintf(out, "%" PRId64, *(const int64_t *)at);
        break;
    case PROTOBUF_C_TYPE_BYTES: /* somebody's own: nobody knows what it means */
        print_bytes(at, out);
        break;
    default: /* of no other type is there a field in proto/ */
        (void)fputc('?', out);
    }
}

/* --- paths ----------------------------------------------------------------------------------- */

/* The field that the path begins with, and what is left of the path ("" at its end). */
static const ProtobufCFieldDescriptor *first_field(const ProtobufCMessageDescriptor *type,
                                                   const char *path, const char **out_rest)
{
    char name[64];
    size_t length = strcspn(path, ".");
    if (length >= sizeof name)
        return NULL;
    memcpy(name, path, length);
    name[length] = '\0';
    *out_rest = path + length + (path[length] == '.');
    return protobuf_c_message_descriptor_get_field_by_name(type, name);
}

const ProtobufCFieldDescriptor *value_find(const ProtobufCMessageDescriptor *type, const char *path)
{
    const ProtobufCFieldDescriptor *field = NULL;
    while (type && *path && (field = first_field(type, path, &path)))
        type = field->type == PROTOBUF_C_TYPE_MESSAGE ? field->descriptor : NULL;
    return *path ? NULL : field;
}

void *value_place(ProtobufCMessage *message, const char *name)
{
    return (char *)message + value_find(message->descriptor, name)->offset;
}

static void print_path(const ProtobufCMessage *message, const char *path, FILE *out)
{
    const char *rest;
    struct value value = {message, first_field(message->descriptor, path, &rest)};
    for (size_t i = 0; value.field && i < value_count(&value); i++) {
        if (*rest) {
            print_path(value_message_at(&value, i), rest, out);
            continue;
        }
        if (ftell(out) > 0)
            (void)fputc(' ', out);
        value_print(&value, i, out);
    }
}

char *value_text(const ProtobufCMessage *message, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    print_path(message, path, out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}
