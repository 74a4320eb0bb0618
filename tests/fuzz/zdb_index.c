/*
 * Any bytes as an index file of 0-db, beside data files that are whole: a value that is served was
 * once written under that key. The first byte chooses the mode and which of the two files it is.
 */
#include "zdb_files.h"

#include <string.h>

static void check_was_written(const struct peer_ns *model, struct peer_key key,
                              const uint8_t *payload, uint32_t size)
{
    for (uint32_t file = 0; file < model->n_files; file++) {
        struct peer_data_entry entry;
        uint32_t offset = PEER_DATA_HEADER;
        while (peer_data_next(&model->data[file], &offset, &entry) == 1)
            if (entry.key_size == key.size && memcmp(entry.key, key.at, key.size) == 0 &&
                !(entry.flags & PEER_TOMBSTONE) && entry.size == size &&
                memcmp(entry.payload, payload, size) == 0)
                return;
    }
    fuzz_fail(__FILE__, __LINE__, "served under this key what was never written under it");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    if (length == 0)
        return 0;
    enum peer_mode mode = data[0] & 1 ? PEER_SEQ : PEER_USER;
    uint32_t which = data[0] >> 1 & 1;
    struct peer_ns model;
    struct peer_bytes bytes = {0};
    zdb_files_model(mode, &model);
    zdb_files_clear();
    peer_put(&bytes, data + 1, length - 1);
    for (uint32_t i = 0; i < model.n_files; i++) {
        zdb_files_put('d', i, &model.data[i]);
        zdb_files_put('i', i, i == which ? &bytes : &model.index[i]);
    }
    zdb_files_load(mode, &model, check_was_written);
    peer_bytes_free(&bytes);
    peer_ns_free(&model);
    return 0;
}

void fuzz_seeds(void)
{
    for (uint8_t choice = 0; choice < 4; choice++) {
        struct peer_ns model;
        struct peer_bytes bytes = {0};
        zdb_files_model(choice & 1 ? PEER_SEQ : PEER_USER, &model);
        peer_put_u8(&bytes, choice);
        peer_put(&bytes, model.index[choice >> 1].at, model.index[choice >> 1].size);
        fuzz_seed(bytes.at, bytes.size);
        peer_bytes_free(&bytes);
        peer_ns_free(&model);
    }
}
