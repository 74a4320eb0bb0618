/* Surveys: three passes over the volume. Blocking; on a pool's thread. */
#include "survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOP_LEVEL = 5, GROW_FIRST = 64 }; /* BTRFS_FS_TREE_OBJECTID */

/* Makes room for one more in a doubling array. */
static int grow(void **items, size_t n, size_t size, struct err *err)
{
    if (n != 0 && (n < GROW_FIRST || (n & (n - 1)) != 0))
        return 0;
    size_t capacity = n == 0 ? GROW_FIRST : n * 2;
    void *grown = reallocarray(*items, capacity, size);
    if (!grown)
        return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, NULL, "no memory for a survey");
    *items = grown;
    return 0;
}

struct member {
    uint64_t parent;
    bool is_odd;
};

struct walk {
    struct survey *survey;
    struct member *members; /* the subvolumes that are in a group */
    size_t n_members;
    struct err *err;
};

static int on_nested(const struct volume_nested *nested, void *data)
{
    struct walk *walk = data;
    struct survey *survey = walk->survey;
    bool changed = nested->assigned || nested->memberships_taken > 0;
    survey->changed = survey->changed || changed;
    if (survey->n_nested == SURVEY_NESTED_MAX)
        return 0;
    void *items = survey->nested;
    int rc = grow(&items, survey->n_nested, sizeof *survey->nested, walk->err);
    if (rc < 0)
        return rc;
    survey->nested = items;
    struct survey_nested *found = &survey->nested[survey->n_nested++];
    *found = (struct survey_nested){.subvolume = nested->subvolume,
                                    .group = nested->group,
                                    .path = strdup(nested->path),
                                    .changed = changed};
    (void)snprintf(found->id, sizeof found->id, "%s", nested->id);
    return 0;
}

static int add_subvolume(struct walk *walk, const struct volume_group *group)
{
    if (group->number == TOP_LEVEL) {
        walk->survey->top_bytes = group->usage_bytes;
        return 0;
    }
    if (group->parent == 0) {
        walk->survey->orphan_bytes += group->usage_bytes;
        return 0;
    }
    void *items = walk->members;
    int rc = grow(&items, walk->n_members, sizeof *walk->members, walk->err);
    if (rc < 0)
        return rc;
    walk->members = items;
    walk->members[walk->n_members++] = (struct member){
        .parent = group->parent,
        .is_odd = group->n_parents > 1 || group->limit_bytes != VOLUME_NO_LIMIT,
    };
    return 0;
}

static int on_group(const struct volume_group *group, void *data)
{
    struct walk *walk = data;
    struct survey *survey = walk->survey;
    if (group->level == 0)
        return add_subvolume(walk, group);
    if (group->level != 1)
        return 0;
    void *items = survey->groups;
    int rc = grow(&items, survey->n_groups, sizeof *survey->groups, walk->err);
    if (rc < 0)
        return rc;
    survey->groups = items;
    survey->groups[survey->n_groups++] = (struct survey_group){
        .number = group->number,
        .usage_bytes = group->usage_bytes,
        .limit_bytes = group->limit_bytes,
    };
    return 0;
}

static int compare_members(const void *a, const void *b)
{
    uint64_t left = ((const struct member *)a)->parent, right = ((const struct member *)b)->parent;
    return (left > right) - (left < right);
}

/* Both are sorted by the group's number. */
static void count_members(struct survey *survey, struct member *members, size_t n)
{
    if (n > 0)
        qsort(members, n, sizeof *members, compare_members);
    size_t at = 0;
    for (size_t i = 0; i < survey->n_groups; i++) {
        struct survey_group *group = &survey->groups[i];
        while (at < n && members[at].parent < group->number)
            at++;
        for (; at < n && members[at].parent == group->number; at++) {
            group->members++;
            group->is_odd |= members[at].is_odd;
        }
    }
}

static int compare_group(const void *key, const void *group)
{
    uint64_t wanted = *(const uint64_t *)key;
    uint64_t number = ((const struct survey_group *)group)->number;
    return (wanted > number) - (wanted < number);
}

/* A space whose nested subvolumes are in its group may be in none itself. */
static void discount_nested(struct survey *survey)
{
    for (size_t i = 0; survey->n_groups > 0 && i < survey->n_nested; i++) {
        struct survey_group *group = bsearch(&survey->nested[i].group, survey->groups,
                                             survey->n_groups, sizeof *group, compare_group);
        if (group && group->members > 0)
            group->members--;
    }
}

int survey_take(const struct volume *volume, struct survey *out_survey, struct err *err)
{
    struct walk walk = {.survey = out_survey, .err = err};
    int rc = volume_adopt_nested(volume, on_nested, &walk, err);
    if (rc == 0)
        rc = volume_usage(volume, on_group, &walk, err);
    if (rc == 0)
        rc = volume_capacity(volume, &out_survey->capacity, err);
    if (rc == 0) {
        count_members(out_survey, walk.members, walk.n_members);
        discount_nested(out_survey);
    }
    free(walk.members);
    return rc;
}

void survey_free(struct survey *survey)
{
    for (size_t i = 0; i < survey->n_nested; i++)
        free(survey->nested[i].path);
    free(survey->nested);
    free(survey->groups);
    *survey = (struct survey){0};
}
