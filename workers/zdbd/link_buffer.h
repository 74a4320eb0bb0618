/*
 * The buffers of a link, which hiredis lets grow as far as they ever had to: each link's by the
 * canary's text, twice. An empty one is made small here. Of the loop.
 */
#ifndef WORKERS_ZDBD_LINK_BUFFER_H
#define WORKERS_ZDBD_LINK_BUFFER_H

#include <hiredis/hiredis.h>
#include <hiredis/sds.h>

/* Empties it. Without memory it stays as large as it is. */
void link_buffer_clear(sds *buffer);

/* Empties that of the reader, if all that is in it was read. */
void link_buffer_drop_read(redisReader *reader);

#endif
