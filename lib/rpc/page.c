/* Pages: one array of slots, one of pointers into it. */
#include "rpc/page.h"

#include "base/error.h"

#include <stdlib.h>

enum { FRAME_BYTES = 8 }; /* tag and length of one message in its reply */

int page_open(struct page *page, size_t slot_size, uint32_t asked, size_t available)
{
    size_t limit = available < PAGE_MAX ? available : PAGE_MAX;
    if (asked > 0 && asked < limit)
        limit = asked;
    *page = (struct page){.limit = limit, .slot_size = slot_size};
    page->slots = calloc(limit + 1, slot_size);
    page->list = calloc(limit + 1, sizeof *page->list);
    if (page->slots && page->list)
        return 0;
    page_close(page);
    return -ERR_RESOURCE_EXHAUSTED;
}

void *page_slot(struct page *page)
{
    page->full = page->n == page->limit;
    return page->full ? NULL : page->slots + page->n * page->slot_size;
}

void page_keep(struct page *page, ProtobufCMessage *message)
{
    size_t bytes = protobuf_c_message_get_packed_size(message) + FRAME_BYTES;
    page->full = page->bytes + bytes > PAGE_MAX_BYTES;
    if (page->full)
        return;
    page->bytes += bytes;
    page->list[page->n++] = message;
}

void page_close(struct page *page)
{
    free(page->slots);
    free(page->list);
    page->slots = NULL;
    page->list = NULL;
}
