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

struct walk {
    struct survey *survey;
    uint64_t *parents; /* of each subvolume's own group */
    size_t n_parents;
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
    *found = (struct survey_nested){
        .subvolume = nested->subvolume, .path = strdup(nested->path), .changed = changed};
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
    void *items = walk->parents;
    int rc = grow(&items, walk->n_parents, sizeof *walk->parents, walk->err);
    if (rc < 0)
        return rc;
    walk->parents = items;
    walk->parents[walk->n_parents++] = group->parent;
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

static int compare_numbers(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* Both are sorted by the group's number. */
static void count_members(struct survey *survey, uint64_t *parents, size_t n)
{
    if (n > 0)
        qsort(parents, n, sizeof *parents, compare_numbers);
    size_t at = 0;
    for (size_t i = 0; i < survey->n_groups; i++) {
        while (at < n && parents[at] < survey->groups[i].number)
            at++;
        for (; at < n && parents[at] == survey->groups[i].number; at++)
            survey->groups[i].members++;
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
    if (rc == 0)
        count_members(out_survey, walk.parents, walk.n_parents);
    free(walk.parents);
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
