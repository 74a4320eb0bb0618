/*
 * One page of a list under construction: messages, each in a slot of the caller's beside what it
 * borrows from, as many as are asked for and fit one reply. Of the loop.
 *
 *   struct page page;
 *   if (page_open(&page, sizeof(struct described), request->page_size, how_many_there_are) < 0) …
 *   for (…; !page.full && …; …)
 *       if ((described = page_slot(&page))) {
 *           describe(thing, described);
 *           page_keep(&page, &described->message.base);
 *       }
 *   reply.things = (Thing **)page.list; reply.n_things = page.n;
 *   … page_close(&page) when the reply is packed
 */
#ifndef LIB_RPC_PAGE_H
#define LIB_RPC_PAGE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PAGE_MAX_BYTES = 900 * 1024, /* under RPC_REPLY_MAX_BYTES with the envelope */
    PAGE_MAX = 2048,             /* messages */
};

struct page {
    void **list; /* the messages kept */
    size_t n;
    bool full; /* one more did not fit: there is a next page */
    size_t limit, bytes, slot_size;
    char *slots;
};

/* `asked`: the request's page_size, 0 for as many as fit. `available`: there are no more than
 * these. -ERR_RESOURCE_EXHAUSTED without memory. */
int page_open(struct page *page, size_t slot_size, uint32_t asked, size_t available);

/* Where the next one is to be made; NULL, and full, if there is no place for it. */
void *page_slot(struct page *page);

/* Takes the message in that slot, or is full. */
void page_keep(struct page *page, ProtobufCMessage *message);

void page_close(struct page *page);

#endif
