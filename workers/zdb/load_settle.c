/*
 * Slots of the active pair behind the end of its data, which was not written or is lost: what
 * updates had replaced is put back, new ids are dead, and the data gets a trace of each, so that
 * what was given is not given again.
 *
 * Slots whose traces are there are not looked at again: so the traces are written last, when the
 * rest is on the disk, and a start that ends in between leaves the next one to do it all.
 */
#include "load_side.h"

struct trace {
    struct format_data_entry head;
    uint64_t id;
} __attribute__((packed));

static bool is_copy(const struct side_by_side *side, uint64_t at, const struct format_slot *slot)
{
    return slot->id < side->pair->first_id + at;
}

/* Whether this is a copy that ended a history, as take_update() makes them, of what is lost now. */
static bool lacks_past(const struct side_by_side *side, uint64_t first,
                       const struct format_slot *slot)
{
    const struct format_index_entry *said = &slot->entry;
    return slot->id < side->pair->first_id + first && said->parent_offset == 0 &&
           said->data_file == side->id && said->data_offset >= side->data_size;
}

/* What such a copy stands for is known to the data alone. */
static int find_pasts(struct side_by_side *side)
{
    struct format_slot slot;
    int rc = 0;
    for (uint64_t at = side->at; rc == 0 && at < side->n_slots; at++) {
        rc = side_read_slot(side, side->id, slot_offset(at), &slot);
        if (rc == 0 && lacks_past(side, side->at, &slot) && !side->load->anew)
            rc = LOAD_AGAIN;
    }
    return rc;
}

/* An entry that says no more than that there was one: the id stays given, and the slot dead. */
static int add_trace(struct side_by_side *side, uint64_t id)
{
    const struct trace trace = {
        .head = {.key_size = FORMAT_ID_SIZE,
                 .previous = side->ns->last_data,
                 .flags = FORMAT_TRUNCATED},
        .id = id,
    };
    int fd = file_fd(&side->pair->data);
    int rc = fd < 0 ? fd : io_write(fd, IO_DATA, &trace, sizeof trace, side->data_size);
    side->ns->last_data = (uint32_t)side->data_size;
    side->data_size += sizeof trace;
    return load_io(side->load, &side->pair->data, rc, "add to");
}

/* `trace` is where its trace will stand. */
static int bury_slot(struct side_by_side *side, uint32_t offset, struct format_slot *slot,
                     uint64_t trace)
{
    slot->entry.data_offset = (uint32_t)trace;
    slot->entry.data_file = side->id;
    slot->entry.length = slot->entry.crc = slot->entry.time = 0;
    slot->entry.flags = FORMAT_DEAD;
    return side_write_slot(side, (struct place){side->id, offset}, slot);
}

/* What an update had replaced is put back. */
static int undo_update(struct side_by_side *side, uint32_t offset, const struct format_slot *copy)
{
    struct format_slot slot = {0};
    struct place place;
    int rc = side_find_slot(side, copy->id, &place, &slot);
    if (rc < 0 || slot.entry.parent_file != side->id || slot.entry.parent_offset != offset)
        return rc;
    slot = *copy;
    slot.entry.flags = 0;
    side->undone = true;
    return side_write_slot(side, place, &slot);
}

/* The last update first. */
static int undo_updates(struct side_by_side *side)
{
    struct format_slot slot;
    int rc = 0;
    for (uint64_t at = side->n_slots; rc == 0 && at-- > side->at;) {
        rc = side_read_slot(side, side->id, slot_offset(at), &slot);
        if (rc == 0 && is_copy(side, at, &slot))
            rc = undo_update(side, slot_offset(at), &slot);
    }
    return rc;
}

static int bury_slots(struct side_by_side *side)
{
    struct format_slot slot;
    uint64_t trace = side->data_size;
    int rc = 0;
    for (uint64_t at = side->at; rc == 0 && at < side->n_slots; at++) {
        rc = side_read_slot(side, side->id, slot_offset(at), &slot);
        if (rc == 0 && !is_copy(side, at, &slot))
            rc = bury_slot(side, slot_offset(at), &slot, trace);
        trace += sizeof(struct trace);
    }
    return rc;
}

static int sync_slots(struct side_by_side *side)
{
    int rc = 0;
    for (uint32_t id = 0; rc == 0 && id < side->ns->n_pairs; id++) {
        struct pair *pair = side->ns->pairs[id];
        int fd = pair->dirty ? file_fd(&pair->index) : -1;
        if (pair->dirty)
            rc = load_io(side->load, &pair->index, fd < 0 ? fd : io_sync(fd), "sync");
    }
    return rc;
}

static int add_traces(struct side_by_side *side)
{
    struct format_slot slot;
    int rc = 0;
    for (; rc == 0 && side->at < side->n_slots; side->at++) {
        rc = side_read_slot(side, side->id, slot_offset(side->at), &slot);
        if (rc == 0)
            rc = add_trace(side, slot.id);
        side->load->replayed = true;
    }
    return rc;
}

int side_settle(struct side_by_side *side)
{
    if (side->id + 1 < side->ns->n_pairs || side->at >= side->n_slots)
        return 0;
    int rc = find_pasts(side);
    if (rc == 0)
        rc = undo_updates(side);
    if (rc == 0)
        rc = bury_slots(side);
    if (rc == 0)
        rc = sync_slots(side);
    return rc == 0 ? add_traces(side) : rc;
}
