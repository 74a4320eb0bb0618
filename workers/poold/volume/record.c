/*
 * The record codec, see the header. A record is checked by the same table of rules when it is
 * written and when it is read, so that nothing is written that could not be read back.
 */
#include "record.h"

#include "base/utf8.h"
#include "disk.pb-c.h"
#include "rpc/validate.h"
#include "seal.h"

#include <stdio.h>
#include <string.h>

static const struct seal_kind kind = {.magic = "sRec", .version = 1, .what = "record"};

static const char *const state_names[] = {
    [RECORD_STATE_BUILDING] = "building",
    [RECORD_STATE_LIVE] = "live",
    [RECORD_STATE_DYING] = "dying",
};

const char *record_state_name(enum record_state state)
{
    if ((size_t)state < sizeof state_names / sizeof *state_names && state_names[state])
        return state_names[state];
    return "unknown";
}

static bool is_utf8(const char *text)
{
    return utf8_valid(text, strlen(text));
}

/* What is wrong with it, or NULL. */
static const char *find_fault(const Storaged__Disk__Record *record)
{
    const struct {
        bool wrong;
        const char *what;
    } rules[] = {
        {!uuid_valid(record->id), "its id is no UUID"},
        {strlen(record->name) > RECORD_NAME_MAX, "its name is too long"},
        {!is_utf8(record->name) || !is_utf8(record->request_id), "its texts are not UTF-8"},
        {strlen(record->request_id) > RECORD_REQUEST_ID_MAX, "its request id is too long"},
        {record->kind < RECORD_KIND_SPACE || record->kind > RECORD_KIND_BOOKING,
         "its kind is unknown"},
        {record->state < RECORD_STATE_BUILDING || record->state > RECORD_STATE_DYING,
         "its state is unknown"},
        {record->disk_type > STORAGE__V1__DISK_TYPE__DISK_TYPE_UNKNOWN, "its type is unknown"},
        {(record->qgroup == 0) != (record->kind == RECORD_KIND_BOOKING) ||
             record->qgroup >> 48 != 0,
         "its quota group is out of range"},
        {record->mode > 07777, "its mode has bits that are none"},
        {record->generation == 0, "its generation is 0"},
        {record->note.len > RECORD_NOTE_MAX, "its note is too long"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].wrong)
            return rules[i].what;
    return NULL;
}

static int pack_message(const Storaged__Disk__Record *message, uint8_t out_data[RECORD_MAX],
                        size_t *out_length, struct err *err)
{
    size_t length = storaged__disk__record__get_packed_size(message);
    if (length > RECORD_MAX - SEAL_SIZE)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, message->id,
                       "the record would have %zu bytes, and %d is the limit", length + SEAL_SIZE,
                       RECORD_MAX);
    (void)storaged__disk__record__pack(message, out_data + SEAL_SIZE);
    seal_close(&kind, out_data, length);
    *out_length = length + SEAL_SIZE;
    return 0;
}

/* Freed by the caller. */
static int unpack_message(const uint8_t *data, size_t length, Storaged__Disk__Record **out_message,
                          struct err *err)
{
    const uint8_t *inside;
    size_t inside_length;
    if (length > RECORD_MAX)
        return err_set(err, ERR_DATA_LOSS, 0, NULL, "the record is too long: %zu bytes", length);
    int rc = seal_open(&kind, data, length, &inside, &inside_length, err);
    if (rc < 0)
        return rc;
    /* protobuf-c reads more than it can read again after it has written it. */
    Storaged__Disk__Record *message = NULL;
    if (validate_packed(&storaged__disk__record__descriptor, inside, inside_length, NULL) == 0)
        message = storaged__disk__record__unpack(NULL, inside_length, inside);
    if (!message)
        return err_set(err, ERR_DATA_LOSS, 0, NULL, "the record cannot be unpacked");
    const char *fault = find_fault(message);
    if (fault) {
        storaged__disk__record__free_unpacked(message, NULL);
        return err_set(err, ERR_DATA_LOSS, 0, NULL, "the record makes no sense: %s", fault);
    }
    *out_message = message;
    return 0;
}

int record_pack(const struct record *record, uint8_t out_data[RECORD_MAX], size_t *out_length,
                struct err *err)
{
    return record_pack_noted(record, NULL, out_data, out_length, err);
}

int record_pack_noted(const struct record *record, const struct record_note *note,
                      uint8_t out_data[RECORD_MAX], size_t *out_length, struct err *err)
{
    Storaged__Disk__Record message = {
        .base = PROTOBUF_C_MESSAGE_INIT(&storaged__disk__record__descriptor),
        .id = (char *)record->id,
        .name = (char *)record->name,
        .request_id = (char *)record->request_id,
        .request_uid = record->request_uid,
        .kind = record->kind,
        .state = record->state,
        .disk_type = record->disk_type,
        .size_bytes = record->size_bytes,
        .limit_bytes = record->limit_bytes,
        .qgroup = record->qgroup,
        .uid = record->uid,
        .gid = record->gid,
        .mode = record->mode,
        .created_us = record->created_us,
        .generation = record->generation,
        .pending = record->pending,
    };
    if (note)
        message.note = (ProtobufCBinaryData){note->length, (uint8_t *)(uintptr_t)note->data};
    const char *fault = find_fault(&message);
    if (fault)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, record->id, "not a valid record: %s", fault);
    return pack_message(&message, out_data, out_length, err);
}

int record_unpack(const uint8_t *data, size_t length, struct record *out_record, struct err *err)
{
    return record_unpack_noted(data, length, out_record, NULL, err);
}

int record_unpack_noted(const uint8_t *data, size_t length, struct record *out_record,
                        struct record_note *out_note, struct err *err)
{
    Storaged__Disk__Record *message;
    int rc = unpack_message(data, length, &message, err);
    if (rc < 0)
        return rc;
    *out_record = (struct record){
        .request_uid = message->request_uid,
        .kind = message->kind,
        .state = message->state,
        .disk_type = message->disk_type,
        .size_bytes = message->size_bytes,
        .limit_bytes = message->limit_bytes,
        .qgroup = message->qgroup,
        .uid = message->uid,
        .gid = message->gid,
        .mode = message->mode,
        .created_us = message->created_us,
        .generation = message->generation,
        .pending = message->pending,
    };
    if (out_note) {
        out_note->length = message->note.len;
        if (message->note.len > 0)
            memcpy(out_note->data, message->note.data, message->note.len);
    }
    /* find_fault() has measured them. */
    (void)snprintf(out_record->id, sizeof out_record->id, "%s", message->id);
    (void)snprintf(out_record->name, sizeof out_record->name, "%s", message->name);
    (void)snprintf(out_record->request_id, sizeof out_record->request_id, "%s",
                   message->request_id);
    storaged__disk__record__free_unpacked(message, NULL);
    return 0;
}

int record_restate(const uint8_t *data, size_t length, enum record_state state,
                   uint8_t out_data[RECORD_MAX], size_t *out_length, struct err *err)
{
    Storaged__Disk__Record *message;
    int rc = unpack_message(data, length, &message, err);
    if (rc < 0)
        return rc;
    message->state = state;
    message->generation += message->generation < UINT64_MAX; /* 0 would be none */
    rc = pack_message(message, out_data, out_length, err);
    storaged__disk__record__free_unpacked(message, NULL);
    return rc;
}
