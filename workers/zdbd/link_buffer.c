/* Buffers that keep nothing long, see the header. */
#include "link_buffer.h"

enum { KEPT_BYTES = 4096 };

void link_buffer_clear(sds *buffer)
{
    sds small = sdsalloc(*buffer) > KEPT_BYTES ? sdsempty() : NULL;
    if (small) {
        sdsfree(*buffer);
        *buffer = small;
    } else {
        sdsclear(*buffer);
    }
}

/* hiredis does the same, when the last byte it has was the last of a long reply. After an error it
 * has no buffer. */
void link_buffer_drop_read(redisReader *reader)
{
    if (!reader->buf || reader->pos != reader->len)
        return;
    link_buffer_clear(&reader->buf);
    reader->pos = reader->len = 0;
}
