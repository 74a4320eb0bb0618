/* Keys and values of the model, and questions about them. */
#ifndef TESTS_ZDB_MODEL_PRIVATE_H
#define TESTS_ZDB_MODEL_PRIVATE_H

#include "model.h"

struct model_key {
    uint8_t at[255];
    size_t size;
};

struct model_key model_key(const struct model *model, uint64_t number);
/* The other way round; fails if there is no such key. */
uint64_t model_number(const struct model *model, const uint8_t *at, size_t size);
/* Borrowed until the next call. */
const uint8_t *model_payload(const struct model_value *value);
/* Keys that there are or were, and those that live. */
uint64_t model_count(const struct model *model);
uint64_t model_count_live(const struct model *model, uint64_t *out_bytes);

void model_send_words(struct model *model, const struct word *words, size_t n);
void model_must_answer(const struct model *model, const char *reply, const struct word *words);

#endif
