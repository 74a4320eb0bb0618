/* What can be done to a pool's tree behind storaged's back, chosen by dice. */
#ifndef TESTS_INTEGRATION_DAMAGE_H
#define TESTS_INTEGRATION_DAMAGE_H

#include "harness.h"

#include "base/uuid.h"

enum { DAMAGE_OBJECTS_MAX = 24, DAMAGE_ALIENS_MAX = 64, DAMAGE_UNMADE_MAX = 16 };

/* A space or a booking that was acknowledged. */
struct damage_object {
    char id[UUID_TEXT_SIZE];
    bool booking;
    uint64_t limit_bytes, group;
    bool hurt; /* it need not be served any more */
};

struct damage_scene {
    uint64_t random;
    char *top; /* where the filesystem is mounted */
    int root;  /* that, opened */
    struct damage_object objects[DAMAGE_OBJECTS_MAX];
    size_t n_objects;
    bool home_hurt;                  /* so no booking can be changed */
    char *aliens[DAMAGE_ALIENS_MAX]; /* below the top: storaged may not touch them */
    size_t n_aliens;
    char unmade[DAMAGE_UNMADE_MAX][UUID_TEXT_SIZE]; /* half-made or dying: they have to go */
    size_t n_unmade;
};

size_t damage_kinds(void);
const char *damage_name(size_t kind);
void damage_do(struct damage_scene *scene, size_t kind);
/* A checksum over everything of the aliens: names, attributes, contents. */
uint32_t damage_aliens(const struct damage_scene *scene);
void damage_forget(struct damage_scene *scene);

#endif
