/*
 * Any bytes as a data file of 0-db, beside an index that is whole, or gone: what loads serves only
 * what its checksum vouches for, takes a new key, and loads again as it was. The first byte chooses
 * the mode, which of the two files it is, and whether the index is there.
 */
#include "zdb_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    if (length == 0)
        return 0;
    enum peer_mode mode = data[0] & 1 ? PEER_SEQ : PEER_USER;
    uint32_t which = data[0] >> 1 & 1;
    bool gone = data[0] & 4;
    struct peer_ns model;
    struct peer_bytes bytes = {0};
    zdb_files_model(mode, &model);
    zdb_files_clear();
    peer_put(&bytes, data + 1, length - 1);
    for (uint32_t i = 0; i < model.n_files; i++) {
        zdb_files_put('d', i, i == which ? &bytes : &model.data[i]);
        zdb_files_put('i', i, gone ? NULL : &model.index[i]);
    }
    zdb_files_load(mode, &model, NULL);
    peer_bytes_free(&bytes);
    peer_ns_free(&model);
    return 0;
}

void fuzz_seeds(void)
{
    for (uint8_t choice = 0; choice < 8; choice++) {
        struct peer_ns model;
        struct peer_bytes bytes = {0};
        zdb_files_model(choice & 1 ? PEER_SEQ : PEER_USER, &model);
        peer_put_u8(&bytes, choice);
        uint32_t which = choice >> 1 & 1;
        peer_put(&bytes, model.data[which].at, model.data[which].size);
        fuzz_seed(bytes.at, bytes.size);
        peer_bytes_free(&bytes);
        peer_ns_free(&model);
    }
}
