/*
 * The seeds are written when libFuzzer starts, before it reads its corpus, into the folder that
 * STORAGED_FUZZ_SEEDS names. Any failure ends the program.
 */
#include "fuzz.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);

void fuzz_fail(const char *file, int line, const char *what)
{
    (void)fprintf(stderr, "%s:%d: %s\n", file, line, what);
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    if (getenv("STORAGED_FUZZ_SEEDS"))
        fuzz_seeds();
    return 0;
}

void fuzz_seed(const void *data, size_t length)
{
    static unsigned count;
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/seed-%02u", getenv("STORAGED_FUZZ_SEEDS"), count++);
    FILE *file = fopen(path, "we");
    fuzz_check(file != NULL);
    fuzz_check(fwrite(data, 1, length, file) == length);
    fuzz_check(fclose(file) == 0);
}

void fuzz_seed_message(const ProtobufCMessage *message)
{
    size_t length;
    autofree uint8_t *bytes = fuzz_pack(message, &length);
    fuzz_seed(bytes, length);
}

uint8_t *fuzz_pack(const ProtobufCMessage *message, size_t *out_length)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(length ? length : 1);
    fuzz_check(bytes != NULL);
    fuzz_check(protobuf_c_message_pack(message, bytes) == length);
    *out_length = length;
    return bytes;
}

bool fuzz_same(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    size_t a_length, b_length;
    autofree uint8_t *a_bytes = fuzz_pack(a, &a_length);
    autofree uint8_t *b_bytes = fuzz_pack(b, &b_length);
    return a_length == b_length && memcmp(a_bytes, b_bytes, a_length) == 0;
}

void fuzz_check_packs(const ProtobufCMessage *message)
{
    size_t length;
    autofree uint8_t *bytes = fuzz_pack(message, &length);
    ProtobufCMessage *again = protobuf_c_message_unpack(message->descriptor, NULL, length, bytes);
    fuzz_check(again != NULL);
    fuzz_check(fuzz_same(message, again));
    protobuf_c_message_free_unpacked(again, NULL);
}

void fuzz_check_refusal(int rc, const struct err *err)
{
    fuzz_check(rc < 0 && rc >= -ERR_UNAUTHENTICATED);
    fuzz_check(err->code == (enum err_code) - rc);
    fuzz_check(*err->message);
}
