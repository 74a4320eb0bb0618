/* A slot may be found in three places: among the marks, in what is not flushed, and in the file. */
#include "slots.h"

#include <string.h>

bool slots_find(const struct ns *ns, uint64_t id, struct slot_place *out)
{
    if (id >= ns_next_id(ns))
        return false;
    uint32_t low = 0, high = ns->n_pairs - 1;
    while (low < high) { /* the last pair that begins at or before it */
        uint32_t middle = low + (high - low + 1) / 2;
        if (ns->pairs[middle]->first_id <= id)
            low = middle;
        else
            high = middle - 1;
    }
    out->file = low;
    out->offset = (uint32_t)(FORMAT_INDEX_HEADER + (id - ns->pairs[low]->first_id) * FORMAT_SLOT);
    return true;
}

const struct format_slot *slots_marked(const struct ns *ns, uint32_t file, uint32_t offset)
{
    const struct format_slot *marked = marks_find_slot(&ns->marks, file, offset);
    return marked ? marked : marks_find_slot(&ns->settling, file, offset);
}

int slots_read(struct ns *ns, struct slot_place place, struct format_slot *out)
{
    struct file *file = &ns->pairs[place.file]->index;
    const struct format_slot *marked = slots_marked(ns, place.file, place.offset);
    if (marked) {
        *out = *marked;
        return 0;
    }
    const uint8_t *fresh = append_peek(&ns->index, file, place.offset, sizeof *out);
    if (fresh) {
        memcpy(out, fresh, sizeof *out);
        return 0;
    }
    int fd = file_fd(file);
    int rc = fd < 0 ? fd : io_read(fd, IO_INDEX, out, sizeof *out, place.offset);
    if (rc < 0)
        ns_count_error(ns, IO_INDEX, rc);
    return rc;
}
