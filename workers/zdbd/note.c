/* Notes, as protobuf messages. */
#include "note.h"

#include "note.pb-c.h"

#include <stdio.h>
#include <string.h>

enum { NOTE_VERSION = 1 };

size_t note_pack(const struct note *note, uint8_t out_packed[NOTE_PACKED_MAX])
{
    Storaged__Zdbd__Note message = STORAGED__ZDBD__NOTE__INIT;
    message.version = NOTE_VERSION;
    message.name = (char *)note->name;
    message.zdb_name = (char *)note->zdb_name;
    message.mode = note->mode;
    message.public_ = note->public;
    message.locked = note->locked;
    message.frozen = note->frozen;
    message.dying = note->dying;
    return storaged__zdbd__note__pack(&message, out_packed);
}

static int read(const Storaged__Zdbd__Note *message, struct note *out_note, struct err *err)
{
    if (message->version > NOTE_VERSION)
        return err_set(err, ERR_UNIMPLEMENTED, 0, NULL,
                       "its note is of version %u, and this storaged knows %d", message->version,
                       NOTE_VERSION);
    bool known_mode = message->mode == STORAGE__V1__ZDBMODE__ZDB_MODE_USER ||
                      message->mode == STORAGE__V1__ZDBMODE__ZDB_MODE_SEQUENTIAL;
    if (message->version == 0 || !known_mode || strlen(message->name) > NAME_MAX_BYTES ||
        strlen(message->zdb_name) > ZDB_NAME_MAX)
        return err_set(err, ERR_DATA_LOSS, 0, NULL, "its note is none of ours");
    *out_note = (struct note){
        .mode = message->mode,
        .public = message->public_,
        .locked = message->locked,
        .frozen = message->frozen,
        .dying = message->dying,
    };
    (void)snprintf(out_note->name, sizeof out_note->name, "%s", message->name);
    (void)snprintf(out_note->zdb_name, sizeof out_note->zdb_name, "%s", message->zdb_name);
    return 0;
}

int note_unpack(const uint8_t *packed, size_t length, struct note *out_note, struct err *err)
{
    Storaged__Zdbd__Note *message = storaged__zdbd__note__unpack(NULL, length, packed);
    if (!message)
        return err_set(err, ERR_DATA_LOSS, 0, NULL, "its note is none of ours");
    int rc = read(message, out_note, err);
    storaged__zdbd__note__free_unpacked(message, NULL);
    return rc;
}
