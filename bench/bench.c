/*
 * The bench: real nodes in the integration tests' sandbox, one row per measure, ours against a
 * floor that is measured in the same run.
 *
 *   bench [--json FILE] [--only NAME]
 */
#include "suites.h"

#include <getopt.h>
#include <stdio.h>

enum { ROWS = 3 };

static const struct {
    struct harness_case suite;
    const char *rows[ROWS]; /* prefixes of the names of its rows */
} suites[] = {
    {harness_case(suite_reserve), {"reserve_"}},
    {harness_case(suite_writer), {"reserve_beside_writer"}},
    {harness_case(suite_reads), {"read_", "list_"}},
    {harness_case(suite_restart), {"restart_"}},
    {harness_case(suite_events), {"event_"}},
    {harness_case(suite_boot), {"boot_"}},
    {harness_case(suite_memory), {"memory_"}},
    {harness_case(suite_flood), {"answer_beside_flood"}},
    {harness_case(suite_zdbd_reserve), {"zdbd_reserve_"}},
    {harness_case(suite_zdbd_restart), {"zdbd_restart_"}},
    {harness_case(suite_zdbd_list), {"zdbd_list_"}},
    {harness_case(suite_zdbd_memory), {"zdbd_memory_"}},
    {harness_case(suite_zdb_rates), {"zdb_set_", "zdb_get_"}},
    {harness_case(suite_zdb_sync), {"zdb_sync_"}},
    {harness_case(suite_zdb_million), {"zdb_memory_", "zdb_scan_", "zdb_restart_1"}},
    {harness_case(suite_zdb_deletes), {"zdb_restart_with_deletes_"}},
    {harness_case(suite_zdb_sequential), {"zdb_sequential_"}},
    {harness_case(suite_zdb_compaction), {"zdb_get_p99_"}},
};

static void usage(FILE *out)
{
    fputs("usage: bench [--json FILE] [--only NAME]\n"
          "  --json FILE  write the rows to FILE as well\n"
          "  --only NAME  only the rows whose names begin with NAME\n",
          out);
}

static void finish(void)
{
    report_finish();
}

static bool is_wanted(const char *const rows[static ROWS])
{
    for (unsigned i = 0; i < ROWS; i++)
        if (rows[i] && report_wants(rows[i]))
            return true;
    return false;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"json", required_argument, NULL, 'j'},
                                            {"only", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct harness_case wanted[array_length(suites) + 1];
    const char *json = NULL, *only = NULL;
    size_t n = 0;

    if (argc == 3 && strcmp(argv[1], "--echo") == 0)
        return echo_main(argv[2]);
    if (argc == 3 && strcmp(argv[1], "--flood-echo") == 0)
        return flood_echo_main(argv[2]);
    if (argc == 4 && strcmp(argv[1], "--flood") == 0)
        return flood_main(argv[2], argv[3]);
    if (argc == 3 && strcmp(argv[1], "--watch") == 0)
        return harness_main(argc, argv, "bench", NULL, 0);
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        if (option == 'j')
            json = optarg;
        else if (option == 'o')
            only = optarg;
        else {
            usage(option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    report_init(json, only);
    for (size_t i = 0; i < array_length(suites); i++)
        if (is_wanted(suites[i].rows))
            wanted[n++] = suites[i].suite;
    if (n == 0) {
        fprintf(stderr, "bench: no row is named %s\n", only);
        return 2;
    }
    wanted[n++] = (struct harness_case)harness_case(finish);
    return harness_main(1, argv, "bench", wanted, n);
}
