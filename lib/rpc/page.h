/*
 * One page of a list under construction: messages, each in a slot of the caller's beside what it
 * borrows from, as many as are asked for and fit one reply. Of the loop.
 *
 *   struct page page;
 *   if (!page_open(&page, call, sizeof(struct described), request->page_token,
 *                  request->page_size, how_many_there_are))
 *       return;
 *   for (…behind the token…; !page.full && …; …)
 *       if ((described = page_slot(&page))) {
 *           describe(thing, described);
 *           page_keep(&page, &described->message.base);
 *       }
 *   page_fill(&page, &reply.base);
 *   … page_close(&page) when the reply is packed
 */
#ifndef LIB_RPC_PAGE_H
#define LIB_RPC_PAGE_H

#include "rpc/server.h"

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

/* `token`: the id behind which the page begins, or "". `asked`: the request's page_size, 0 for as
 * many as fit. `available`: there are no more than these. False, with the call refused, if the
 * token is no id, or without memory. */
bool page_open(struct page *page, struct rpc_call *call, size_t slot_size, const char *token,
               uint32_t asked, size_t available);

/* Where the next one is to be made; NULL, and full, if there is no place for it. */
void *page_slot(struct page *page);

/* Takes the message in that slot, or is full. */
void page_keep(struct page *page, ProtobufCMessage *message);

/* Puts those that were kept into the reply's one repeated field and, if they are not all, the id of
 * the last into its next_page_token. */
void page_fill(const struct page *page, ProtobufCMessage *reply);

void page_close(struct page *page);

#endif
