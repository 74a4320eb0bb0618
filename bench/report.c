/* Rows and samples. One thread. */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 128, NAME_MAX_BYTES = 64 };

struct row {
    char name[NAME_MAX_BYTES];
    double ours, floor, ratio;
    const char *unit, *goal;
    bool met;
};

static struct row rows[ROWS_MAX];
static size_t n_rows;
static const char *json_path, *only;

void report_init(const char *json, const char *wanted)
{
    json_path = json;
    only = wanted;
    printf("%-34s %12s %12s %8s  %s\n", "name", "ours", "floor", "ratio", "goal");
}

bool report_wants(const char *name)
{
    return !only || strncmp(name, only, strlen(only)) == 0 ||
           strncmp(name, only, strlen(name)) == 0;
}

static bool goal_met(const char *goal, double ratio)
{
    if (strncmp(goal, "<=", 2) == 0)
        return ratio <= strtod(goal + 2, NULL);
    if (strncmp(goal, ">=", 2) == 0)
        return ratio >= strtod(goal + 2, NULL);
    return true;
}

void report_row(const char *name, double ours, double floor, const char *unit, const char *goal)
{
    if (n_rows == ROWS_MAX)
        abort();
    struct row *row = &rows[n_rows++];
    *row = (struct row){.ours = ours, .floor = floor, .unit = unit, .goal = goal};
    (void)snprintf(row->name, sizeof row->name, "%s", name);
    row->ratio = floor > 0 ? ours / floor : 0;
    row->met = goal_met(goal, row->ratio);
    printf("%-34s %9.3f %-3s %8.3f %-3s %7.2f  %s%s\n", row->name, ours, unit, floor, unit,
           row->ratio, goal,
           !*goal     ? ""
           : row->met ? ""
                      : "  MISSED");
    (void)fflush(stdout);
}

void report_finish(void)
{
    if (!json_path)
        return;
    FILE *file = fopen(json_path, "we");
    if (!file) {
        perror(json_path);
        exit(EXIT_FAILURE);
    }
    (void)fputs("{\"rows\": [", file);
    for (size_t i = 0; i < n_rows; i++) {
        const struct row *row = &rows[i];
        (void)fprintf(file,
                      "%s\n  {\"name\": \"%s\", \"ours\": %.4f, \"floor\": %.4f, \"ratio\": %.4f, "
                      "\"goal\": \"%s\", \"unit\": \"%s\", \"met\": %s}",
                      i ? "," : "", row->name, row->ours, row->floor, row->ratio, row->goal,
                      row->unit, row->met ? "true" : "false");
    }
    (void)fputs("\n]}\n", file);
    if (fclose(file) != 0) {
        perror(json_path);
        exit(EXIT_FAILURE);
    }
}

/* --- samples --------------------------------------------------------------------------------- */

void samples_add(struct samples *samples, double value)
{
    if (samples->n == samples->room) {
        samples->room = samples->room ? 2 * samples->room : 256;
        samples->values = reallocarray(samples->values, samples->room, sizeof *samples->values);
        if (!samples->values)
            abort();
    }
    samples->values[samples->n++] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double samples_quantile(struct samples *samples, double share)
{
    if (samples->n == 0)
        return 0;
    qsort(samples->values, samples->n, sizeof *samples->values, compare);
    size_t index = (size_t)(share * (double)(samples->n - 1) + 0.5);
    return samples->values[index];
}

void samples_free(struct samples *samples)
{
    free(samples->values);
    *samples = (struct samples){0};
}
