/* What a disk is, by what is known of it: one row per case. */
#include "base/cleanup.h"
#include "classify.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define STATE(name) STORAGE__V1__DISK_STATE__DISK_STATE_##name
#define TYPE(name)  STORAGE__V1__DISK_TYPE__DISK_TYPE_##name

struct row {
    const char *name;
    const char *used_by;
    bool by_pool;
    bool probed;
    enum probe_outcome outcome;
    int os_errno;
    const char *failure;
    const char *signatures; /* types, by blanks */
    const char *label;      /* of a btrfs superblock; NULL: there is none */
    bool damaged;
    bool wipe_begun;
    uint32_t late_ms;
    const char *twin;
    bool read_only;
    bool small;
    Storage__V1__DiskState state;
    const char *reason; /* part of it */
    bool shows_pool;
};

static const struct row rows[] = {
    {.name = "nothing is known", .state = STATE(UNKNOWN), .reason = "not read yet"},
    {.name = "nothing on it", .probed = true, .state = STATE(BLANK), .reason = "no signature"},
    {.name = "too small",
     .probed = true,
     .small = true,
     .state = STATE(BLANK),
     .reason = "too small for a pool"},
    {.name = "write-protected",
     .probed = true,
     .read_only = true,
     .state = STATE(BROKEN),
     .reason = "write-protected"},
    {.name = "foreign",
     .probed = true,
     .signatures = "ext4",
     .state = STATE(FOREIGN),
     .reason = "carries ext4 at 1000"},
    {.name = "two things",
     .probed = true,
     .signatures = "ext4 gpt",
     .state = STATE(FOREIGN),
     .reason = "ext4 at 1000, gpt at 2000"},
    {.name = "half wiped",
     .probed = true,
     .signatures = "btrfs",
     .wipe_begun = true,
     .state = STATE(FOREIGN),
     .reason = "cut off; wipe it again"},
    {.name = "write-protected and foreign",
     .probed = true,
     .read_only = true,
     .signatures = "ext4",
     .state = STATE(FOREIGN),
     .reason = "ext4"},
    {.name = "mounted",
     .used_by = "mounted on /home",
     .state = STATE(IN_USE),
     .reason = "mounted on /home"},
    {.name = "mounted, and read before",
     .used_by = "mounted on /home",
     .probed = true,
     .state = STATE(IN_USE),
     .reason = "mounted on /home"},
    {.name = "mounted, and hangs",
     .used_by = "mounted on /home",
     .late_ms = 5000,
     .state = STATE(IN_USE),
     .reason = "mounted on /home"},
    {.name = "claimed",
     .probed = true,
     .outcome = PROBE_CLAIMED,
     .state = STATE(IN_USE),
     .reason = "exclusively"},
    {.name = "hangs", .late_ms = 5000, .state = STATE(UNKNOWN), .reason = "5000 ms"},
    {.name = "hangs, and was blank",
     .late_ms = 5000,
     .probed = true,
     .state = STATE(UNKNOWN),
     .reason = "may hang"},
    {.name = "changed midway",
     .probed = true,
     .outcome = PROBE_CHANGED,
     .state = STATE(UNKNOWN),
     .reason = "changed"},
    {.name = "unreadable",
     .probed = true,
     .outcome = PROBE_FAILED,
     .os_errno = EIO,
     .failure = "reading at 65536",
     .state = STATE(BROKEN),
     .reason = "reading at 65536 failed with EIO"},
    {.name = "unreadable after a signature was found",
     .probed = true,
     .outcome = PROBE_FAILED,
     .os_errno = EIO,
     .failure = "looking for signatures",
     .signatures = "ext4",
     .state = STATE(BROKEN),
     .reason = "EIO"},
    {.name = "ours",
     .probed = true,
     .signatures = "btrfs",
     .label = "storaged:tank",
     .state = STATE(POOL_MEMBER),
     .reason = "belongs to pool",
     .shows_pool = true},
    {.name = "ours, mounted",
     .used_by = "part of the mounted btrfs",
     .by_pool = true,
     .probed = true,
     .signatures = "btrfs",
     .label = "storaged:tank",
     .state = STATE(POOL_MEMBER),
     .reason = "belongs to pool",
     .shows_pool = true},
    {.name = "ours, mounted, not read",
     .used_by = "part of the mounted btrfs",
     .by_pool = true,
     .state = STATE(UNKNOWN),
     .reason = "not read yet"},
    {.name = "ours, with something else",
     .probed = true,
     .signatures = "btrfs gpt",
     .label = "storaged:tank",
     .state = STATE(POOL_MEMBER),
     .reason = "gpt at 2000",
     .shows_pool = true},
    {.name = "unfinished",
     .probed = true,
     .signatures = "btrfs",
     .label = "storaged:new:tank",
     .state = STATE(UNFINISHED),
     .reason = "not finished",
     .shows_pool = true},
    {.name = "unfinished, with something else",
     .probed = true,
     .signatures = "btrfs dos",
     .label = "storaged:new:tank",
     .state = STATE(FOREIGN),
     .reason = "dos at 2000"},
    {.name = "another btrfs",
     .probed = true,
     .signatures = "btrfs",
     .label = "home",
     .state = STATE(FOREIGN),
     .reason = "carries btrfs"},
    {.name = "another btrfs, twice",
     .probed = true,
     .signatures = "btrfs",
     .label = "home",
     .twin = "/dev/sdb",
     .state = STATE(FOREIGN),
     .reason = "carries btrfs"},
    {.name = "twice",
     .probed = true,
     .signatures = "btrfs",
     .label = "storaged:tank",
     .twin = "/dev/sdb",
     .state = STATE(DUPLICATE),
     .reason = "/dev/sdb carries the same",
     .shows_pool = true},
    {.name = "unfinished, twice",
     .probed = true,
     .signatures = "btrfs",
     .label = "storaged:new:tank",
     .twin = "/dev/sdb",
     .state = STATE(DUPLICATE),
     .reason = "/dev/sdb",
     .shows_pool = true},
    {.name = "ours, damaged",
     .probed = true,
     .signatures = "btrfs",
     .label = "storaged:tank",
     .damaged = true,
     .state = STATE(BROKEN),
     .reason = "damaged",
     .shows_pool = true},
    {.name = "another btrfs, damaged",
     .probed = true,
     .signatures = "btrfs",
     .label = "home",
     .damaged = true,
     .state = STATE(FOREIGN),
     .reason = "btrfs"},
    {.name = "a superblock that libblkid does not take",
     .probed = true,
     .label = "home",
     .damaged = true,
     .state = STATE(FOREIGN),
     .reason = "superblock at 65536"},
};

static void add_signatures(struct probe_report *report, const char *types)
{
    char text[64], *rest = NULL;
    (void)snprintf(text, sizeof text, "%s", types);
    for (char *type = strtok_r(text, " ", &rest); type; type = strtok_r(NULL, " ", &rest)) {
        struct signature *signature = &report->signatures[report->n_signatures++];
        (void)snprintf(signature->type, sizeof signature->type, "%s", type);
        signature->offset_bytes = 1000 * report->n_signatures;
    }
    report->n_found = report->n_signatures;
}

static void each_case_has_its_state_and_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_length(rows); i++) {
        const struct row *row = &rows[i];
        struct disk_usage use = {.by_pool = row->by_pool};
        struct probe_report report = {.outcome = row->outcome, .os_errno = row->os_errno};
        struct disk_facts facts = {
            .size_bytes = row->small ? UINT64_C(100) << 20 : UINT64_C(4) << 30,
            .read_only = row->read_only,
            .use = &use,
            .report = row->probed ? &report : NULL,
            .late_ms = row->late_ms,
            .twin = row->twin,
        };
        struct disk_verdict verdict;
        (void)snprintf(use.by, sizeof use.by, "%s", row->used_by ? row->used_by : "");
        (void)snprintf(report.failure, sizeof report.failure, "%s",
                       row->failure ? row->failure : "");
        add_signatures(&report, row->signatures ? row->signatures : "");
        report.has_super = row->label != NULL;
        report.wipe_begun = row->wipe_begun;
        report.super.intact = !row->damaged;
        (void)snprintf(report.super.label, sizeof report.super.label, "%s",
                       row->label ? row->label : "");
        classify_state(&facts, &verdict);
        if (verdict.state != row->state || !strstr(verdict.reason, row->reason) ||
            verdict.shows_pool != row->shows_pool ||
            classify_is_preparable(&verdict, facts.size_bytes) !=
                (row->state == STATE(BLANK) && !row->small))
            fail_msg("%s: state %d, reason \"%s\"", row->name, verdict.state, verdict.reason);
    }
}

static void a_long_list_of_signatures_is_cut(void **state)
{
    struct probe_report report = {.outcome = PROBE_READ};
    char list[64];
    (void)state;
    for (size_t i = 0; i < PROBE_SIGNATURES_MAX; i++)
        (void)snprintf(report.signatures[i].type, sizeof report.signatures[i].type, "kind%zu", i);
    report.n_signatures = PROBE_SIGNATURES_MAX;
    report.n_found = PROBE_SIGNATURES_MAX + 3;
    classify_list_signatures(&report, list, sizeof list);
    assert_int_equal(strlen(list), sizeof list - 1);
    report.n_signatures = 1;
    report.n_found = 4;
    classify_list_signatures(&report, list, sizeof list);
    assert_string_equal(list, "kind0 at 0 and 3 more");
}

static void the_type_is_told_by_config_then_queue(void **state)
{
    static const struct {
        int rotational;
        bool said_ssd, said_hdd;
        Storage__V1__DiskType type;
        const char *evidence;
    } cases[] = {
        {0, false, false, TYPE(SSD), "rotational=0"},
        {1, false, false, TYPE(HDD), "rotational=1"},
        {-1, false, false, TYPE(UNKNOWN), "the queue does not say"},
        {1, true, false, TYPE(SSD), "config"},
        {0, false, true, TYPE(HDD), "config"},
        {-1, false, true, TYPE(HDD), "config"},
    };
    (void)state;
    for (size_t i = 0; i < array_length(cases); i++) {
        const struct disk_facts facts = {.rotational = cases[i].rotational,
                                         .said_ssd = cases[i].said_ssd,
                                         .said_hdd = cases[i].said_hdd};
        char evidence[CLASSIFY_EVIDENCE_MAX];
        assert_int_equal(classify_type(&facts, evidence), cases[i].type);
        assert_string_equal(evidence, cases[i].evidence);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_case_has_its_state_and_reason),
        cmocka_unit_test(a_long_list_of_signatures_is_cut),
        cmocka_unit_test(the_type_is_told_by_config_then_queue),
    };
    return cmocka_run_group_tests_name("disk classification", tests, NULL, NULL);
}
