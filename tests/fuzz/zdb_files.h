/*
 * A namespace in a filesystem of its own, in memory and without a name, so that nothing of it is
 * left however the program ends; its files are what a fuzz program says.
 */
#ifndef TESTS_FUZZ_ZDB_FILES_H
#define TESTS_FUZZ_ZDB_FILES_H

#include "fuzz.h"

#include "peer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The seed namespaces, of either mode: two files, with something of everything. */
void zdb_files_model(enum peer_mode mode, struct peer_ns *out_ns);

/* Replaces what is there; a NULL or empty one is not there. */
void zdb_files_put(char letter, uint32_t id, const struct peer_bytes *bytes);
void zdb_files_clear(void);

/*
 * Loads what is there, which may repair it, and again: what could be read is read again. `check` is
 * asked about each value of the model's keys. Then one key gets another value, one is deleted and
 * one added, and it is loaded twice more, with all of that. What does not load is refused with a
 * reason.
 */
typedef void (*zdb_files_check)(const struct peer_ns *model, struct peer_key key,
                                const uint8_t *payload, uint32_t size);
void zdb_files_load(enum peer_mode mode, const struct peer_ns *model, zdb_files_check check);

#endif
