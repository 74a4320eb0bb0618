/*
 * Which mode a namespace is of. The headers of its index say so; where they are lost or contradict
 * each other the data does, for the keys of a sequential namespace are ids in the order in which
 * they were given. That a user chose such keys cannot be ruled out, so what all headers say counts
 * for more.
 */
#include "load_private.h"

#include <string.h>

/* --- headers --------------------------------------------------------------------------------- */

struct headers {
    uint32_t n_user, n_seq;           /* index files that say so */
    uint32_t n_data, n_index;         /* that have a header of this kind */
    uint32_t data_known, index_known; /* of our version */
};

static void look_at_headers(struct load *load, struct headers *out)
{
    struct ns *ns = load->ns;
    *out = (struct headers){0};
    for (uint32_t i = 0; i < ns->n_pairs; i++) {
        struct format_data_header data;
        struct format_index_header index;
        int fd = file_fd(&ns->pairs[i]->data);
        if (fd >= 0 && io_read(fd, IO_DATA, &data, sizeof data, 0) == 0 &&
            memcmp(data.magic, "DAT0", 4) == 0) {
            out->n_data++;
            out->data_known += data.version == FORMAT_DATA_VERSION;
        }
        fd = file_fd(&ns->pairs[i]->index);
        if (fd < 0 || io_read(fd, IO_INDEX, &index, sizeof index, 0) < 0 ||
            memcmp(index.magic, "IDX0", 4) != 0)
            continue;
        out->n_index++;
        out->index_known += index.version == FORMAT_INDEX_VERSION;
        out->n_user += index.mode == FORMAT_USER;
        out->n_seq += index.mode == FORMAT_SEQ;
    }
}

/* --- data ------------------------------------------------------------------------------------ */

enum { LOOK_ENTRIES = 256, ENTRY_LEAST = FORMAT_DATA_ENTRY + FORMAT_ID_SIZE };

/* How many entries say what. */
struct looking {
    uint64_t next; /* ids below it were given */
    uint64_t lost; /* so many more may have been, in what cannot be read */
    unsigned n, n_ordered, n_unordered;
    unsigned n_other; /* keys that are no ids, with a payload that vouches for them */
};

static void look_at_entry(struct looking *looking, const struct walk_entry *entry)
{
    uint64_t id;
    bool tombstone = entry->head.flags & FORMAT_TOMBSTONE;
    looking->n++;
    if (entry->head.key_size != FORMAT_ID_SIZE) {
        looking->n_other += entry->head.flags == 0 && entry->head.length >= sizeof entry->head.crc;
        return;
    }
    memcpy(&id, entry->key, sizeof id);
    if (id >= looking->next + looking->lost + !tombstone) {
        looking->n_unordered++;
        return;
    }
    looking->n_ordered++;
    if (tombstone)
        return;
    if (id > looking->next) {
        looking->lost -= id - looking->next;
        looking->next = id;
    }
    looking->next++; /* an update takes one as well */
}

static void look_at_pair(struct looking *looking, struct pair *pair)
{
    struct walk walk;
    struct walk_entry entry;
    uint64_t size = 0;
    int fd = file_fd(&pair->data);
    if (fd < 0 || io_size(fd, &size) < 0 || size <= FORMAT_DATA_HEADER ||
        walk_begin(&walk, fd, size, FORMAT_DATA_HEADER, NULL) < 0)
        return;
    walk.check_payload = true;
    while (looking->n < LOOK_ENTRIES) {
        uint64_t broken = walk.offset;
        enum walk_result result = walk_next(&walk, &entry);
        if (result == WALK_ENTRY) {
            look_at_entry(looking, &entry);
            continue;
        }
        bool goes_on = result == WALK_BROKEN && walk_resume(&walk) == WALK_ENTRY;
        looking->lost += ((goes_on ? walk.offset : size) - broken) / ENTRY_LEAST;
        if (!goes_on)
            break;
    }
    walk_end(&walk);
}

static struct looking look_at_data(const struct ns *ns)
{
    struct looking looking = {0};
    for (uint32_t i = 0; i < ns->n_pairs && looking.n < LOOK_ENTRIES; i++)
        look_at_pair(&looking, ns->pairs[i]);
    return looking;
}

/* --- both ------------------------------------------------------------------------------------ */

static enum format_mode find_mode(const struct ns *ns, const struct headers *headers)
{
    if (headers->n_user > 0 && headers->n_seq == 0)
        return FORMAT_USER;
    struct looking looking = look_at_data(ns);
    unsigned n_ids = looking.n_ordered + looking.n_unordered;
    if (headers->n_seq > 0 && headers->n_user == 0)
        return n_ids == 0 && looking.n_other > 0 ? FORMAT_USER : FORMAT_SEQ;
    if (n_ids + looking.n_other > 0)
        return looking.n_ordered > looking.n_unordered + looking.n_other ? FORMAT_SEQ : FORMAT_USER;
    if (headers->n_seq == headers->n_user)
        return ns->config->mode;
    return headers->n_seq > headers->n_user ? FORMAT_SEQ : FORMAT_USER;
}

int load_mode(struct load *load, enum format_mode *out_mode)
{
    struct headers headers;
    look_at_headers(load, &headers);
    if ((headers.n_data > 0 && headers.data_known == 0) ||
        (headers.n_index > 0 && headers.index_known == 0))
        return err_set(load->err, ERR_DATA_LOSS, 0, load->ns->name,
                       "its files have a version that is not known here");
    *out_mode = find_mode(load->ns, &headers);
    return 0;
}
