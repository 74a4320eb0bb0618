/*
 * The check of packed bytes against their descriptor, on a message with every kind of field.
 * Nothing of what passes is cut or lost by protobuf-c: what it unpacks packs to what passes again,
 * and is the same.
 */
#include "fuzz.h"

#include "base/cleanup.h"
#include "every.pb-c.h"
#include "rpc/validate.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    const ProtobufCMessageDescriptor *every = &fuzz__every__descriptor;
    autoerr struct err err = {0};
    int rc = validate_packed(every, data, length, &err);
    if (rc < 0) {
        fuzz_check_refusal(rc, &err);
        fuzz_check(rc == -ERR_INVALID_ARGUMENT && *err.object);
        return 0;
    }
    ProtobufCMessage *message = protobuf_c_message_unpack(every, NULL, length, data);
    /* protobuf-c 1.4.1 merges a submessage that comes twice, but not one with an empty oneof. */
    if (!message)
        return 0;
    fuzz_check_packs(message);
    size_t packed_length;
    autofree uint8_t *packed = fuzz_pack(message, &packed_length);
    fuzz_check(validate_packed(every, packed, packed_length, NULL) == 0);
    protobuf_c_message_free_unpacked(message, NULL);
    return 0;
}

static void seed_scalars(void)
{
    Fuzz__Every every = FUZZ__EVERY__INIT;
    every.a_int32 = -1, every.a_sint32 = -2, every.a_uint32 = 3;
    every.a_int64 = -4, every.a_sint64 = -5, every.a_uint64 = 6;
    every.a_fixed32 = 7, every.a_sfixed32 = -8, every.a_fixed64 = 9, every.a_sfixed64 = -10;
    every.a_float = 1.5f, every.a_double = -2.5, every.a_bool = true;
    every.a_colour = FUZZ__COLOUR__BLUE;
    every.a_string = (char *)"caf\xc3\xa9";
    every.a_bytes = (ProtobufCBinaryData){.len = 2, .data = (uint8_t *)"\0\xff"};
    every.choice_case = FUZZ__EVERY__CHOICE_CHOSEN_STRING;
    every.chosen_string = (char *)"\xf0\x9f\x92\xbe";
    fuzz_seed_message(&every.base);
}

static void seed_lists(void)
{
    Fuzz__Every every = FUZZ__EVERY__INIT;
    int32_t i32[] = {-1, 2};
    uint32_t u32[] = {1, 300};
    int64_t i64[] = {-1, 2};
    uint64_t u64[] = {1, UINT64_MAX};
    float reals[] = {1, 2};
    double doubles[] = {1, 2};
    protobuf_c_boolean bools[] = {1, 0};
    Fuzz__Colour colours[] = {FUZZ__COLOUR__RED, FUZZ__COLOUR__BLUE};
    char *texts[] = {(char *)"one", (char *)"\xe2\x82\xac"};
    ProtobufCBinaryData bytes[] = {{.len = 1, .data = (uint8_t *)""}, {0}};
#define FILL(field, list) every.n_##field = array_length(list), every.field = (list)
    FILL(n_int32, i32), FILL(n_sint32, i32), FILL(n_sfixed32, i32);
    FILL(n_uint32, u32), FILL(n_fixed32, u32);
    FILL(n_int64, i64), FILL(n_sint64, i64), FILL(n_sfixed64, i64);
    FILL(n_uint64, u64), FILL(n_fixed64, u64);
    FILL(n_float, reals), FILL(n_double, doubles), FILL(n_bool, bools);
    FILL(n_colour, colours), FILL(n_string, texts), FILL(n_bytes, bytes);
    FILL(p_int32, i32), FILL(p_sint64, i64), FILL(p_uint64, u64), FILL(p_fixed32, u32);
    FILL(p_double, doubles), FILL(p_bool, bools), FILL(p_colour, colours);
#undef FILL
    fuzz_seed_message(&every.base);
}

static void seed_nested(void)
{
    Fuzz__Leaf low = FUZZ__LEAF__INIT, leaf = FUZZ__LEAF__INIT, *leaves[] = {&low, &leaf};
    Fuzz__Branch inner = FUZZ__BRANCH__INIT, branch = FUZZ__BRANCH__INIT;
    Fuzz__Branch *branches[] = {&inner, &branch};
    Fuzz__Every every = FUZZ__EVERY__INIT;
    low.choice_case = FUZZ__LEAF__CHOICE_CHOSEN_TEXT, low.chosen_text = (char *)"low";
    inner.leaf = &low;
    leaf.colour = FUZZ__COLOUR__RED;
    leaf.choice_case = FUZZ__LEAF__CHOICE_CHOSEN_BRANCH, leaf.chosen_branch = &inner;
    branch.leaf = &leaf, branch.leaves = leaves, branch.n_leaves = array_length(leaves);
    every.a_branch = &branch;
    every.n_branch = branches, every.n_n_branch = array_length(branches);
    every.choice_case = FUZZ__EVERY__CHOICE_CHOSEN_BRANCH, every.chosen_branch = &inner;
    fuzz_seed_message(&every.base);
}

void fuzz_seeds(void)
{
    seed_scalars();
    seed_lists();
    seed_nested();
}
