/* Pages: one array of slots, one of pointers into it. */
#include "rpc/page.h"

#include "base/uuid.h"

#include <stdlib.h>

enum { FRAME_BYTES = 8 }; /* tag and length of one message in its reply */

bool page_open(struct page *page, struct rpc_call *call, size_t slot_size, const char *token,
               uint32_t asked, size_t available)
{
    size_t limit = available < PAGE_MAX ? available : PAGE_MAX;
    if (*token && !uuid_valid(token)) {
        rpc_call_refuse(call, ERR_INVALID_ARGUMENT, "page_token", "no page of ours follows it");
        return false;
    }
    if (asked > 0 && asked < limit)
        limit = asked;
    *page = (struct page){.limit = limit, .slot_size = slot_size};
    page->slots = calloc(limit + 1, slot_size);
    page->list = calloc(limit + 1, sizeof *page->list);
    if (page->slots && page->list)
        return true;
    page_close(page);
    rpc_call_refuse(call, ERR_RESOURCE_EXHAUSTED, NULL, "no memory for a list");
    return false;
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

static void *place(ProtobufCMessage *message, const char *name)
{
    return (char *)message +
           protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name)->offset;
}

void page_fill(const struct page *page, ProtobufCMessage *reply)
{
    const ProtobufCFieldDescriptor *list = reply->descriptor->fields;
    while (list->label != PROTOBUF_C_LABEL_REPEATED)
        list++;
    *(size_t *)(void *)((char *)reply + list->quantifier_offset) = page->n;
    *(void ***)(void *)((char *)reply + list->offset) = page->list;
    if (page->full && page->n > 0)
        *(char **)place(reply, "next_page_token") = *(char **)place(page->list[page->n - 1], "id");
}

void page_close(struct page *page)
{
    free(page->slots);
    free(page->list);
    page->slots = NULL;
    page->list = NULL;
}
