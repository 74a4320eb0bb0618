/*
 * Walks over packed bytes, beside the descriptor. No memory is allocated; the depth is bounded,
 * the work is linear in the bytes.
 */
#include "rpc/validate.h"

#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

/* The bytes of one message, and where it stands in the whole, for error texts. */
struct cursor {
    const uint8_t *at, *end;
    const struct cursor *parent;
    const ProtobufCMessageDescriptor *descriptor;
    const char *field;
    unsigned depth;
};

static void format_path(const struct cursor *cursor, char *path, size_t size)
{
    if (cursor->parent) {
        format_path(cursor->parent, path, size);
        size_t used = strlen(path);
        if (used && used + 1 < size)
            (void)snprintf(path + used, size - used, ".");
    } else {
        *path = '\0';
    }
    size_t used = strlen(path);
    (void)snprintf(path + used, size - used, "%s", cursor->field ? cursor->field : "");
}

static int refuse(const struct cursor *cursor, const char *what, struct err *err)
{
    char path[ERR_OBJECT_MAX];
    format_path(cursor, path, sizeof path);
    return err_set(err, ERR_INVALID_ARGUMENT, 0, path, "the field %s %s", path, what);
}

static int refuse_garbage(const struct cursor *cursor, struct err *err)
{
    while (cursor->parent)
        cursor = cursor->parent;
    return err_set(err, ERR_INVALID_ARGUMENT, 0, cursor->descriptor->name,
                   "these bytes are not a %s", cursor->descriptor->name);
}

/* Reads a varint of at most `max` bytes. Most have one. */
static inline bool read_varint(struct cursor *cursor, unsigned max, uint64_t *out_value)
{
    if (cursor->at < cursor->end && *cursor->at < 0x80) {
        *out_value = *cursor->at++;
        return true;
    }
    uint64_t value = 0;
    for (unsigned i = 0; i < max && cursor->at < cursor->end; i++) {
        uint8_t byte = *cursor->at++;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            *out_value = value;
            return true;
        }
    }
    return false;
}

static bool skip_bytes(struct cursor *cursor, uint64_t count)
{
    if (count > (uint64_t)(cursor->end - cursor->at))
        return false;
    cursor->at += count;
    return true;
}

static int check_string(const struct cursor *cursor, struct err *err)
{
    size_t length = (size_t)(cursor->end - cursor->at);
    if (memchr(cursor->at, '\0', length))
        return refuse(cursor, "contains a NUL byte", err);
    if (!utf8_valid(cursor->at, length))
        return refuse(cursor, "is not valid UTF-8", err);
    return 0;
}

static int check_enum(const struct cursor *cursor, const ProtobufCFieldDescriptor *field,
                      uint64_t value, struct err *err)
{
    int number = (int)(uint32_t)value; /* as protobuf-c reads it */
    if (protobuf_c_enum_descriptor_get_value(field->descriptor, number))
        return 0;
    char what[64];
    (void)snprintf(what, sizeof what, "has a value nobody knows: %d", number);
    struct cursor named = *cursor;
    named.parent = cursor;
    named.field = field->name;
    return refuse(&named, what, err);
}

enum packing { PACKED_VARINT, PACKED_32, PACKED_64, PACKED_NEVER };

static const struct {
    enum packing packing;
    ProtobufCWireType wire_type; /* of one element */
} field_kinds[] = {
    [PROTOBUF_C_TYPE_INT32] = {PACKED_VARINT, PROTOBUF_C_WIRE_TYPE_VARINT},
    [PROTOBUF_C_TYPE_SINT32] = {PACKED_VARINT, PROTOBUF_C_WIRE_TYPE_VARINT},
    [PROTOBUF_C_TYPE_SFIXED32] = {PACKED_32, PROTOBUF_C_WIRE_TYPE_32BIT},
    [PROTOBUF_C_TYPE_INT64] = {PACKED_VARINT, PROTOBUF_C_WIRE_TYPE_VARINT},
    [PROTOBUF_C_TYPE_SINT64] = {PACKED_VARINT, PROTOBUF_C_WIRE_TYPE_VARINT},
    [PROTOBUF_C_TYPE_SFIXED64] = {PACKED_64, PROTOBUF_C_WIRE_TYPE_64BIT},
    [PROTOBUF_C_TYPE_UINT32] = {PACKED_VARINT, PROTOBUF_C_WIRE_TYPE_VARINT},
    [PROTOBUF_C_TYPE_FIXED32] = {PACKED_32, PROTOBUF_C_WIRE_TYPE_32BIT},
    [PROTOBUF_C_TYPE_UINT64] = {PACKED_VARINT, PROTOBUF_C_WIRE_TYPE_VARINT},
    [PROTOBUF_C_TYPE_FIXED64] = {PACKED_64, PROTOBUF_C_WIRE_TYPE_64BIT},
    [PROTOBUF_C_TYPE_FLOAT] = {PACKED_32, PROTOBUF_C_WIRE_TYPE_32BIT},
    [PROTOBUF_C_TYPE_DOUBLE] = {PACKED_64, PROTOBUF_C_WIRE_TYPE_64BIT},
    [PROTOBUF_C_TYPE_BOOL] = {PACKED_VARINT, PROTOBUF_C_WIRE_TYPE_VARINT},
    [PROTOBUF_C_TYPE_ENUM] = {PACKED_VARINT, PROTOBUF_C_WIRE_TYPE_VARINT},
    [PROTOBUF_C_TYPE_STRING] = {PACKED_NEVER, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED},
    [PROTOBUF_C_TYPE_BYTES] = {PACKED_NEVER, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED},
    [PROTOBUF_C_TYPE_MESSAGE] = {PACKED_NEVER, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED},
};

static int check_packed(struct cursor *body, const ProtobufCFieldDescriptor *field, struct err *err)
{
    enum packing packing = field_kinds[field->type].packing;
    if (field->label != PROTOBUF_C_LABEL_REPEATED || packing == PACKED_NEVER)
        return refuse_garbage(body, err);
    if (packing != PACKED_VARINT) {
        unsigned width = packing == PACKED_32 ? 4 : 8;
        return (body->end - body->at) % width ? refuse_garbage(body, err) : 0;
    }
    while (body->at < body->end) {
        uint64_t value;
        if (!read_varint(body, 10, &value))
            return refuse_garbage(body, err);
        int rc =
            field->type == PROTOBUF_C_TYPE_ENUM ? check_enum(body->parent, field, value, err) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int check_message(struct cursor *cursor, struct err *err);

/* `field` is NULL when the descriptor does not know it. */
static int check_prefixed(struct cursor *cursor, const ProtobufCFieldDescriptor *field,
                          struct err *err)
{
    uint64_t length;
    if (!read_varint(cursor, 5, &length))
        return refuse_garbage(cursor, err);
    struct cursor body = {.at = cursor->at, .parent = cursor, .depth = cursor->depth + 1};
    if (length > INT32_MAX || !skip_bytes(cursor, length))
        return refuse_garbage(cursor, err);
    if (!field)
        return 0;
    body.end = cursor->at;
    body.field = field->name;
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return check_string(&body, err);
    case PROTOBUF_C_TYPE_BYTES:
        return 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        body.descriptor = field->descriptor;
        if (body.depth >= VALIDATE_DEPTH_MAX)
            return refuse(&body, "is nested too deep", err);
        return check_message(&body, err);
    default:
        return check_packed(&body, field, err);
    }
}

static int check_field(struct cursor *cursor, struct err *err)
{
    uint64_t key, value;
    if (!read_varint(cursor, 5, &key) || key > UINT32_MAX || key >> 3 == 0)
        return refuse_garbage(cursor, err);
    ProtobufCWireType wire_type = (ProtobufCWireType)(key & 7);
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(cursor->descriptor, (unsigned)(key >> 3));
    if (field && wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED &&
        wire_type != field_kinds[field->type].wire_type)
        return refuse_garbage(cursor, err);
    switch (wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        if (!read_varint(cursor, 10, &value))
            return refuse_garbage(cursor, err);
        if (field && field->type == PROTOBUF_C_TYPE_ENUM)
            return check_enum(cursor, field, value, err);
        return 0;
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        return skip_bytes(cursor, 8) ? 0 : refuse_garbage(cursor, err);
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        return check_prefixed(cursor, field, err);
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        return skip_bytes(cursor, 4) ? 0 : refuse_garbage(cursor, err);
    default: /* groups, and what does not exist */
        return refuse_garbage(cursor, err);
    }
}

static int check_message(struct cursor *cursor, struct err *err)
{
    int rc = 0;
    while (rc == 0 && cursor->at < cursor->end)
        rc = check_field(cursor, err);
    return rc;
}

int validate_packed(const ProtobufCMessageDescriptor *descriptor, const void *data, size_t length,
                    struct err *err)
{
    const uint8_t *bytes = length ? data : (const uint8_t *)"";
    struct cursor cursor = {.at = bytes, .end = bytes + length, .descriptor = descriptor};
    return check_message(&cursor, err);
}

static bool pass_value(struct cursor *cursor, ProtobufCWireType wire_type)
{
    uint64_t value;
    switch (wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return read_varint(cursor, 10, &value);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        return skip_bytes(cursor, 8);
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        return read_varint(cursor, 5, &value) && skip_bytes(cursor, value);
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        return skip_bytes(cursor, 4);
    default:
        return false;
    }
}

/* One field, with its number; false where validate_packed() will refuse it. */
static bool pass_field(struct cursor *cursor, uint64_t *out_key)
{
    return read_varint(cursor, 5, out_key) && *out_key <= UINT32_MAX && *out_key >> 3 != 0 &&
           pass_value(cursor, (ProtobufCWireType)(*out_key & 7));
}

size_t validate_strip(const ProtobufCMessageDescriptor *descriptor, uint8_t *data, size_t length)
{
    size_t kept = 0;
    if (length == 0)
        return 0; /* `data` may be NULL then */
    struct cursor cursor = {.at = data, .end = data + length};
    uint64_t key, unknown_key = 0;
    while (cursor.at < cursor.end) {
        const uint8_t *field = cursor.at;
        bool passed = pass_field(&cursor, &key);
        if (!passed)
            cursor.at = cursor.end;  /* from there on nothing is known */
        else if (key == unknown_key) /* many of a kind come in a row */
            continue;
        else if (!protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(key >> 3))) {
            unknown_key = key;
            continue;
        }
        memmove(data + kept, field, (size_t)(cursor.at - field));
        kept += (size_t)(cursor.at - field);
    }
    return kept;
}
