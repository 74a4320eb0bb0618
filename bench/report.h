/*
 * The rows of the bench: what we take, what the floor takes in the same run, their ratio, and the
 * goal for it. A row is made where it is measured, and printed at once.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Before the first row: where to write all rows as JSON (NULL: nowhere), what to measure (NULL:
 * everything, else a prefix of row names). */
void report_init(const char *json_path, const char *only);

/* Whether a row with this name, or one whose name begins so, is wanted. */
bool report_wants(const char *name);

/*
 * One row. `ours` and `floor` in `unit` ("ms", "us", "1/s", "MiB"); `goal` compares their ratio:
 * "<=1.3", ">=8"; "" for a figure without a goal.
 */
void report_row(const char *name, double ours, double floor, const char *unit, const char *goal);

/* Writes the JSON file: {"rows": [{"name", "ours", "floor", "ratio", "goal", "unit", "met"}]}. */
void report_finish(void);

/* Samples of one measure, in any unit. */
struct samples {
    double *values;
    size_t n, room;
};

void samples_add(struct samples *samples, double value);
/* The value that `share` (0..1) of the samples do not exceed. Sorts. */
double samples_quantile(struct samples *samples, double share);
void samples_free(struct samples *samples);

static inline double samples_p50(struct samples *samples)
{
    return samples_quantile(samples, 0.5);
}

#endif
