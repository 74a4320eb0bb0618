/*
 * Loading a sequential namespace.
 *
 * Each data entry but a tombstone has put one slot into the index file of its pair: that of a new
 * id, or the dead copy of what an update replaced. So the two files can be walked side by side.
 * That is done for the last two pairs, where slots may lack what the data has: an update whose slot
 * was not written yet is written now, a slot that is not there is added, one whose data is gone is
 * dead, and what it had replaced is put back: an id that was given is not given again. A slot only
 * ever changes to newer data, so doing it twice does nothing.
 *
 * The payloads of a closed pair are looked at only if something is wrong with it: what a pass does
 * not look at it does not change, and asks for a careful one instead.
 *
 * Of older pairs only the index is read. Where that contradicts itself all of it is made again.
 */
#include "load_side.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>

enum {
    ENTRY_LEAST = FORMAT_DATA_ENTRY + FORMAT_ID_SIZE,
    SECTOR = 512, /* what is written whole or not at all */
};

/* --- one slot -------------------------------------------------------------------------------- */

/* The pair of an id that was given; of pairs behind the one that is walked nobody knows yet. */
static uint32_t pair_of(const struct side_by_side *side, uint64_t id)
{
    uint32_t low = 0, high = side->id;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (side->ns->pairs[middle]->first_id <= id)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

int side_read_slot(struct side_by_side *side, uint32_t file, uint32_t offset,
                   struct format_slot *out)
{
    struct file *index = &side->ns->pairs[file]->index;
    const uint8_t *fresh =
        side->adding ? append_peek(&side->load->index, index, offset, sizeof *out) : NULL;
    if (!fresh)
        return load_read_slot(side->load, &side->block, file, offset, out);
    memcpy(out, fresh, sizeof *out);
    return 0;
}

int side_find_slot(struct side_by_side *side, uint64_t id, struct place *place,
                   struct format_slot *out)
{
    place->file = pair_of(side, id);
    place->offset = slot_offset(id - side->ns->pairs[place->file]->first_id);
    return side_read_slot(side, place->file, place->offset, out);
}

int side_write_slot(struct side_by_side *side, struct place place, const struct format_slot *slot)
{
    if (!side->walk->check_payload)
        return LOAD_AGAIN;
    side->changed = true;
    side->block.size = 0;
    return load_rewrite(side->load, place.file, place.offset, &slot->entry);
}

static bool is_older(const struct format_slot *slot, uint32_t file, uint32_t offset)
{
    return slot->entry.data_file < file ||
           (slot->entry.data_file == file && slot->entry.data_offset < offset);
}

static int add_slot(struct side_by_side *side, const struct format_slot *slot)
{
    if (!side->adding && side->id + 1 < side->ns->n_pairs && !side->load->anew)
        return LOAD_AGAIN; /* it would move the ids of the next pair */
    if (!side->adding) {
        int rc = load_add_begin(side->load, side->id, slot_offset(side->at));
        if (rc < 0)
            return rc;
        side->adding = side->changed = true;
    }
    uint64_t id = slot->id;
    side->ns->last_index = slot_offset(side->at);
    return load_add(side->load, &slot->entry, (const uint8_t *)&id);
}

enum match { MATCHES = 0, IS_NONE = 2 }; /* or LOAD_AGAIN, or an error */

/* --- data entries ---------------------------------------------------------------------------- */

static int take_tombstone(struct side_by_side *side, uint64_t id, uint32_t offset)
{
    struct format_slot slot;
    struct place place;
    if (id >= side->pair->first_id + side->at)
        return 0;
    int rc = side_find_slot(side, id, &place, &slot);
    if (rc < 0 || slot.id != id || slot.entry.flags & FORMAT_DEAD ||
        !is_older(&slot, side->id, offset))
        return rc;
    slot.entry.flags |= FORMAT_DEAD;
    return side_write_slot(side, place, &slot);
}

static struct format_slot slot_for(const struct side_by_side *side, const struct walk_entry *entry,
                                   uint64_t id)
{
    return (struct format_slot){
        .entry = {.key_size = FORMAT_ID_SIZE,
                  .data_offset = entry->offset,
                  .length = entry->head.length,
                  .flags = entry->head.flags & FORMAT_TRUNCATED ? FORMAT_DEAD : 0,
                  .data_file = side->id,
                  .time = entry->head.time,
                  .crc = entry->head.crc},
        .id = id,
    };
}

/* Whether the slot may be half of what was written to it last: it lies on two sectors, and what it
 * says is not what the data says. `entry` is an update of it whose copy stands at `at`. */
static bool is_torn(struct side_by_side *side, struct place place, const struct format_slot *slot,
                    const struct walk_entry *entry)
{
    struct {
        struct format_data_entry head;
        uint64_t id;
    } __attribute__((packed)) there;
    const struct format_index_entry *said = &slot->entry;
    if (place.offset / SECTOR == (place.offset + FORMAT_SLOT - 1) / SECTOR)
        return false;
    bool is_this = said->data_file == side->id && said->data_offset == entry->offset;
    if (said->data_file >= side->ns->n_pairs ||
        (is_this &&
         (said->parent_file != side->id || said->parent_offset != slot_offset(side->at))))
        return true;
    struct pair *pair = side->ns->pairs[said->data_file];
    int fd = pair->missing ? -1 : file_fd(&pair->data);
    return fd >= 0 && (io_read(fd, IO_DATA, &there, sizeof there, said->data_offset) < 0 ||
                       there.head.key_size != FORMAT_ID_SIZE || there.id != slot->id ||
                       there.head.length != said->length || there.head.crc != said->crc ||
                       there.head.time != said->time);
}

/* The slot of an id gets what an update wrote; its copy stands at `at`. Where that is lost, and the
 * slot does not say what was before, one of the update itself ends the history. */
static int take_update(struct side_by_side *side, uint64_t id, const struct walk_entry *entry)
{
    struct format_slot slot, fresh = slot_for(side, entry, id);
    struct place place;
    int rc = side_find_slot(side, id, &place, &slot);
    if (rc < 0)
        return rc;
    if (slot.id != id)
        return IS_NONE; /* a copy took this place, so it was never given */
    bool torn = is_torn(side, place, &slot, entry);
    bool older = torn || is_older(&slot, side->id, entry->offset);
    if (side->at >= side->n_slots) {
        struct format_slot copy = older && !torn ? slot : fresh;
        copy.entry.flags |= FORMAT_DEAD;
        rc = add_slot(side, &copy);
    }
    if (rc != 0 || !older || entry->head.flags & FORMAT_TRUNCATED)
        return rc;
    fresh.entry.previous = slot.entry.previous;
    fresh.entry.parent_file = side->id;
    fresh.entry.parent_offset = slot_offset(side->at);
    return side_write_slot(side, place, &fresh);
}

static int take_new(struct side_by_side *side, uint64_t id, const struct walk_entry *entry)
{
    struct format_slot fresh = slot_for(side, entry, id);
    if (side->at < side->n_slots)
        return 0;
    fresh.entry.previous = side->ns->last_index;
    return add_slot(side, &fresh);
}

/* Ids whose data is lost: dead slots keep their places. False when it cannot be so many. */
static bool fill_lost(struct side_by_side *side, uint64_t up_to, int *rc)
{
    *rc = 0;
    if (up_to - (side->pair->first_id + side->at) > side->load->lost / ENTRY_LEAST)
        return false;
    for (; *rc == 0 && side->pair->first_id + side->at < up_to; side->at++) {
        struct format_slot slot = {.entry = {.key_size = FORMAT_ID_SIZE,
                                             .previous = side->ns->last_index,
                                             .flags = FORMAT_DEAD,
                                             .data_file = side->id},
                                   .id = side->pair->first_id + side->at};
        *rc = add_slot(side, &slot);
    }
    side->load->lost = 0;
    return true;
}

/* How many slots on is the one of this id? Entries that are lost may have been in between. */
static bool skip_lost(struct side_by_side *side, uint64_t id)
{
    struct reader ahead = side->reader;
    struct reader_entry slot;
    uint64_t most = side->load->lost / ENTRY_LEAST;
    for (uint64_t n = 0; n <= most && side->at + n < side->n_slots; n++) {
        uint64_t there;
        if (!reader_next(&ahead, &slot))
            break;
        memcpy(&there, slot.key, sizeof there);
        if (there != id)
            continue;
        side->at += n;
        side->load->lost -= n * ENTRY_LEAST;
        side->reader.offset = ahead.offset;
        side->reader.at = ahead.at;
        side->reader.have = ahead.have;
        return true;
    }
    side->reader.have = 0; /* its buffer may have moved on */
    return false;
}

/* Moves on to the slot that this entry belongs to. An index that fits itself is believed more than
 * one entry of the data. */
static int match(struct side_by_side *side, uint64_t id)
{
    int rc = MATCHES;
    if (side->at < side->n_slots)
        return skip_lost(side, id) ? MATCHES : IS_NONE;
    if (id > side->pair->first_id + side->at && !fill_lost(side, id, &rc))
        return IS_NONE;
    return rc;
}

static int take(struct side_by_side *side, const struct walk_entry *entry)
{
    uint64_t id;
    memcpy(&id, entry->key, sizeof id);
    if (entry->head.flags & FORMAT_TOMBSTONE)
        return take_tombstone(side, id, entry->offset);
    int rc = match(side, id);
    if (rc != MATCHES)
        return rc;
    rc = id < side->pair->first_id + side->at ? take_update(side, id, entry)
                                              : take_new(side, id, entry);
    side->at += rc != IS_NONE;
    return rc;
}

/* --- one entry after the other -------------------------------------------------------------------
 */

/* Leaves out what is broken; at the end of the active pair it is cut off. */
static int skip_broken(struct side_by_side *side, uint64_t broken, bool *out_end)
{
    struct walk *walk = side->walk;
    uint64_t size = side->data_size;
    if (!walk->check_payload)
        return LOAD_AGAIN;
    walk->offset = broken;
    enum walk_result result = load_skip_broken(side->load, side->id, walk, &side->data_size);
    *out_end = result == WALK_END;
    side->load->lost += (*out_end ? size : walk->offset) - broken;
    return result == WALK_FAILED ? -1 : 0;
}

/* An entry that no slot can belong to: its id is damaged, or what was before it is lost. */
static int leave_out(struct side_by_side *side, const struct walk_entry *entry)
{
    if (!side->walk->check_payload)
        return LOAD_AGAIN;
    log_warning("an entry of the data has an id that cannot be", "namespace", side->ns->name,
                "file_id", log_u64(side->id), "offset", log_u64(entry->offset));
    load_seal(side->load, side->id);
    side->load->lost += format_data_size(entry->head.key_size, entry->head.length);
    side->ns->last_data = entry->offset;
    return 0;
}

static int walk_data(struct side_by_side *side)
{
    struct walk *walk = side->walk;
    struct walk_entry entry;
    bool end = false;
    int rc = 0;
    while (rc == 0 && !end) {
        uint64_t before = walk->offset;
        enum walk_result result = walk_next(walk, &entry);
        if (result == WALK_END)
            return 0;
        if (result == WALK_FAILED)
            return load_io(side->load, &side->pair->data, walk->rc, "read");
        if (result == WALK_BROKEN || entry.head.key_size != FORMAT_ID_SIZE) {
            rc = skip_broken(side, before, &end);
            continue;
        }
        rc = take(side, &entry);
        if (rc == IS_NONE)
            rc = leave_out(side, &entry);
        else if (rc == 0)
            side->ns->last_data = entry.offset;
    }
    return rc;
}

static int walk_pair(struct load *load, uint32_t id, bool *changed, bool *out_undone)
{
    struct ns *ns = load->ns;
    struct walk walk = {0};
    struct side_by_side side = {
        .load = load, .ns = ns, .id = id, .pair = ns->pairs[id], .walk = &walk};
    *out_undone = false;
    if (side.pair->missing)
        return 0;
    file_pin(&side.pair->data);
    file_pin(&side.pair->index);
    side.data_size = side.pair->data_size;
    side.n_slots = slots_of(side.pair->index_size);
    if (side.n_slots > 0)
        ns->last_index = slot_offset(side.n_slots - 1);
    int rc = walk_begin(&walk, file_fd(&side.pair->data), side.data_size, FORMAT_DATA_HEADER, NULL);
    if (rc == 0)
        rc = reader_begin(&side.reader, file_fd(&side.pair->index), side.pair->index_size,
                          FORMAT_INDEX_HEADER);
    if (rc < 0)
        rc = err_errno(load->err, -rc, ns->name, "cannot load the namespace");
    /* The end of the last pair may not have come to the disk, whatever the index says. */
    walk.check_payload = load->careful || load->anew || id + 1 == ns->n_pairs;
    if (rc == 0)
        rc = walk_data(&side);
    if (rc == 0 && side.adding)
        rc = load_add_end(load);
    if (rc == 0)
        rc = side_settle(&side);
    if (rc == 0) {
        *changed = *changed || side.changed;
        *out_undone = side.undone;
        side.pair->data_size = side.data_size;
        side.pair->index_size = slot_offset(side.at > side.n_slots ? side.at : side.n_slots);
        if (side.pair->index_size > FORMAT_INDEX_HEADER)
            ns->last_index = (uint32_t)side.pair->index_size - FORMAT_SLOT;
    }
    walk_end(&walk);
    reader_end(&side.reader);
    file_unpin(&side.pair->data);
    file_unpin(&side.pair->index);
    return rc;
}

/* --- all of it ------------------------------------------------------------------------------- */

/* The last two, and as many more as it takes to see an entry. */
static uint32_t first_to_walk(const struct load *load)
{
    const struct ns *ns = load->ns;
    uint32_t first = ns->n_pairs > 2 && !load->anew ? ns->n_pairs - 2 : 0;
    for (bool seen = false; !seen && first > 0;) {
        for (uint32_t id = first; id < ns->n_pairs; id++)
            seen = seen || ns->pairs[id]->data_size > FORMAT_DATA_HEADER;
        first -= !seen;
    }
    return first;
}

int load_sequential(struct load *load)
{
    struct ns *ns = load->ns;
    bool changed = false, undone = false;
    int rc = load_measure_slots(load);
    if (rc == 0 && !load->anew)
        rc = load_read_slots(load);
    uint32_t first = first_to_walk(load);
    for (uint32_t id = first; rc == 0 && id < ns->n_pairs; id++) {
        if (load->anew && id > 0)
            ns->pairs[id]->first_id =
                ns->pairs[id - 1]->first_id + slots_of(ns->pairs[id - 1]->index_size);
        uint64_t lost = load->lost;
        rc = walk_pair(load, id, &changed, &undone);
        if (rc == 0 && undone) {
            /* A delete of the value before came by while the slot had the one that was lost. */
            load->lost = lost;
            rc = walk_pair(load, id, &changed, &undone);
        }
    }
    load->walked = true;
    for (uint32_t id = 0; id < ns->n_pairs; id++)
        mapping_end(&ns->pairs[id]->index.mapping); /* nothing reads slots of all places any more */
    return rc == 0 && changed ? load_read_slots(load) : rc;
}
