/*
 * What the fuzz programs share. Each is one file: LLVMFuzzerTestOneInput() hands any bytes to one
 * decoder and checks what must hold of its answer; fuzz_seeds() makes the messages, records and
 * files that libFuzzer begins with, by the encoder of that decoder. A property that does not hold
 * aborts, and libFuzzer keeps the input.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "base/error.h"

#include <protobuf-c/protobuf-c.h>

#define fuzz_check(property)                                                                       \
    ((property) ? (void)0 : fuzz_fail(__FILE__, __LINE__, "does not hold: " #property))

_Noreturn void fuzz_fail(const char *file, int line, const char *what);

/* libFuzzer's entry, of every program. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

/* Of every program: calls fuzz_seed() for each input to begin with. */
void fuzz_seeds(void);
void fuzz_seed(const void *data, size_t length);
void fuzz_seed_message(const ProtobufCMessage *message);

/* Packed bytes of the same length that they were announced with; freed by the caller. */
uint8_t *fuzz_pack(const ProtobufCMessage *message, size_t *out_length);

/* Both pack to the same bytes. */
bool fuzz_same(const ProtobufCMessage *a, const ProtobufCMessage *b);

/* What was unpacked packs, and unpacks to the same. */
void fuzz_check_packs(const ProtobufCMessage *message);

/* A refusal: a code of ours, said in the error too, with words. */
void fuzz_check_refusal(int rc, const struct err *err);

#endif
