/* See the header. Strings are escaped beyond what RFC 8259 asks, so that a terminal is safe too. */
#include "json.h"

#include "text.h"
#include "value.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

static void write_string(FILE *out, const char *text)
{
    (void)fputc('"', out);
    while (*text) {
        const char *begin = text;
        int32_t c = text_next(&text);
        if (c == TEXT_INVALID)
            (void)fputs("\\ufffd", out);
        else if (c == '"' || c == '\\')
            (void)fprintf(out, "\\%c", (char)c);
        else if (c < 0x20 || (c >= 0x7f && c < 0xa0))
            (void)fprintf(out, "\\u%04x", (unsigned)c);
        else
            (void)fwrite(begin, 1, (size_t)(text - begin), out);
    }
    (void)fputc('"', out);
}

static void break_line(const struct json *json)
{
    if (!json->lines)
        (void)fprintf(json->out, "\n%*s", (int)json->depth * 2, "");
}

/* Everything that stands before a value. */
static void begin_value(struct json *json, const char *key)
{
    if (json->depth > 0) {
        if (json->filled[json->depth - 1])
            (void)fputc(',', json->out);
        json->filled[json->depth - 1] = true;
        break_line(json);
    }
    if (key) {
        write_string(json->out, key);
        (void)fputs(json->lines ? ":" : ": ", json->out);
    }
}

void json_open(struct json *json, const char *key, char bracket)
{
    assert(json->depth < JSON_DEPTH_MAX);
    begin_value(json, key);
    (void)fputc(bracket, json->out);
    json->filled[json->depth++] = false;
}

void json_close(struct json *json, char bracket)
{
    assert(json->depth > 0);
    if (json->filled[--json->depth])
        break_line(json);
    (void)fputc(bracket == '{' ? '}' : ']', json->out);
    if (json->depth == 0)
        (void)fputc('\n', json->out);
}

void json_text(struct json *json, const char *key, const char *text)
{
    begin_value(json, key);
    write_string(json->out, text);
}

void json_u64(struct json *json, const char *key, uint64_t number)
{
    begin_value(json, key);
    (void)fprintf(json->out, "%" PRIu64, number);
}

void json_i64(struct json *json, const char *key, int64_t number)
{
    begin_value(json, key);
    (void)fprintf(json->out, "%" PRId64, number);
}

void json_bool(struct json *json, const char *key, bool value)
{
    begin_value(json, key);
    (void)fputs(value ? "true" : "false", json->out);
}

static void write_enum(struct json *json, const char *key, const ProtobufCEnumDescriptor *type,
                       int number)
{
    char name[64];
    if (value_enum_name(type, number, name))
        json_text(json, key, name);
    else
        json_i64(json, key, number);
}

static void write_element(struct json *json, const char *key, const struct value *value,
                          size_t index)
{
    const void *at = value_at(value, index);
    switch (value->field->type) {
    case PROTOBUF_C_TYPE_STRING:
        json_text(json, key, *(const char *const *)at);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        json_bool(json, key, *(const protobuf_c_boolean *)at);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        write_enum(json, key, value->field->descriptor, *(const int *)at);
        break;
    case PROTOBUF_C_TYPE_UINT32:
        json_u64(json, key, *(const uint32_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT64:
        json_u64(json, key, *(const uint64_t *)at);
        break;
    case PROTOBUF_C_TYPE_INT32:
        json_i64(json, key, *(const int32_t *)at);
        break;
    case PROTOBUF_C_TYPE_INT64:
        json_i64(json, key, *(const int64_t *)at);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        begin_value(json, key);
        (void)fputc('"', json->out);
        value_print(value, index, json->out);
        (void)fputc('"', json->out);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        json_message(json, key, value_message_at(value, index));
        break;
    default: /* of no other type is there a field in proto/ */
        begin_value(json, key);
        (void)fputs("null", json->out);
    }
}

static void write_field(struct json *json, const struct value *value)
{
    const ProtobufCFieldDescriptor *field = value->field;
    size_t n = value_count(value);
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        json_open(json, field->name, '[');
        for (size_t i = 0; i < n; i++)
            write_element(json, NULL, value, i);
        json_close(json, '[');
    } else if (n > 0) {
        write_element(json, field->name, value, 0);
    } else if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)) {
        json_message(json, field->name, NULL);
    }
}

void json_message(struct json *json, const char *key, const ProtobufCMessage *message)
{
    if (!message) {
        begin_value(json, key);
        (void)fputs("null", json->out);
        return;
    }
    json_open(json, key, '{');
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        struct value value = {message, &message->descriptor->fields[i]};
        write_field(json, &value);
    }
    json_close(json, '{');
}
