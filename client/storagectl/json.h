/*
 * JSON (RFC 8259), written straight to a stream: containers by hand, whole messages by their
 * descriptor. A message's object has every field under its name in proto/, numbers as numbers,
 * enums as their lower-case names, an absent message as null; of a oneof only what is chosen.
 */
#ifndef STORAGECTL_JSON_H
#define STORAGECTL_JSON_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdio.h>

enum { JSON_DEPTH_MAX = 16 };

struct json {
    FILE *out;
    bool lines; /* all on one line, for streams of objects */
    unsigned depth;
    bool filled[JSON_DEPTH_MAX]; /* the container at this depth has an element */
};

/* `key` is NULL for the elements of an array, and for the outermost value. */
void json_open(struct json *json, const char *key, char bracket);
/* Closes what was opened with '{' or '['; the outermost one ends the line. */
void json_close(struct json *json, char bracket);

void json_text(struct json *json, const char *key, const char *text);
void json_u64(struct json *json, const char *key, uint64_t number);
void json_i64(struct json *json, const char *key, int64_t number);
void json_bool(struct json *json, const char *key, bool value);
/* NULL gives null. */
void json_message(struct json *json, const char *key, const ProtobufCMessage *message);

#endif
