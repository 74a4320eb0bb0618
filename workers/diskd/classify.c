/*
 * The rules, in the order in which they decide. What somebody uses comes first, for such a disk is
 * not even opened; then what could not be read; then what was read. Blank is what is left when
 * nothing else holds, and only after a probe that read everything.
 */
#include "classify.h"

#include "base/cleanup.h"
#include "text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef void (*explain_fn)(const struct disk_facts *facts, char *out, size_t size);

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

void classify_list_signatures(const struct probe_report *report, char *out, size_t size)
{
    size_t used = 0;
    *out = '\0';
    for (size_t i = 0; i < report->n_signatures && used < size; i++) {
        int n = snprintf(out + used, size - used, "%s%s at %" PRIu64, i > 0 ? ", " : "",
                         report->signatures[i].type, report->signatures[i].offset_bytes);
        used += n > 0 ? (size_t)n : 0;
    }
    if (report->n_found > report->n_signatures && used < size)
        (void)snprintf(out + used, size - used, " and %zu more",
                       report->n_found - report->n_signatures);
}

/* ---- conditions ---- */

static bool in_use(const struct disk_facts *f)
{
    return *f->use->by && !f->use->by_pool;
}

static bool is_late(const struct disk_facts *f)
{
    return f->late_ms > 0;
}

static bool not_read(const struct disk_facts *f)
{
    return !f->report;
}

static bool changed_midway(const struct disk_facts *f)
{
    return f->report->outcome == PROBE_CHANGED;
}

static bool claimed(const struct disk_facts *f)
{
    return f->report->outcome == PROBE_CLAIMED;
}

static bool unreadable(const struct disk_facts *f)
{
    return f->report->outcome != PROBE_READ;
}

static bool is_ours(const struct disk_facts *f)
{
    return f->report->has_super && starts_with(f->report->super.label, POOL_LABEL_PREFIX);
}

static bool is_ours_damaged(const struct disk_facts *f)
{
    return is_ours(f) && !f->report->super.intact;
}

static bool is_ours_twice(const struct disk_facts *f)
{
    return is_ours(f) && f->twin;
}

static bool has_only_btrfs(const struct disk_facts *f)
{
    for (size_t i = 0; i < f->report->n_signatures; i++)
        if (strcmp(f->report->signatures[i].type, "btrfs") != 0)
            return false;
    return f->report->n_found == f->report->n_signatures;
}

static bool is_ours_unfinished(const struct disk_facts *f)
{
    return is_ours(f) && starts_with(f->report->super.label, POOL_LABEL_UNFINISHED_PREFIX);
}

static bool is_ours_unfinished_alone(const struct disk_facts *f)
{
    return is_ours_unfinished(f) && has_only_btrfs(f);
}

static bool is_half_wiped(const struct disk_facts *f)
{
    return f->report->wipe_begun;
}

static bool carries_something(const struct disk_facts *f)
{
    return f->report->n_found > 0 || f->report->has_super;
}

static bool is_read_only(const struct disk_facts *f)
{
    return f->read_only;
}

static bool always(const struct disk_facts *f)
{
    (void)f;
    return true;
}

/* ---- explanations ---- */

static void explain_in_use(const struct disk_facts *f, char *out, size_t size)
{
    (void)snprintf(out, size, "in use: %s; it is left alone until that ends", f->use->by);
}

static void explain_late(const struct disk_facts *f, char *out, size_t size)
{
    (void)snprintf(out, size,
                   "has not answered for %" PRIu32 " ms and may hang; what it holds is not known "
                   "until it answers",
                   f->late_ms);
}

static void explain_not_read(const struct disk_facts *f, char *out, size_t size)
{
    (void)f;
    (void)snprintf(out, size, "not read yet");
}

static void explain_changed(const struct disk_facts *f, char *out, size_t size)
{
    (void)f;
    (void)snprintf(out, size, "its medium changed while it was read; it is read again");
}

static void explain_claimed(const struct disk_facts *f, char *out, size_t size)
{
    (void)f;
    (void)snprintf(out, size,
                   "in use: a program holds it exclusively; it is left alone until that ends");
}

static void explain_unreadable(const struct disk_facts *f, char *out, size_t size)
{
    const char *name = strerrorname_np(f->report->os_errno);
    const char *words = strerrordesc_np(f->report->os_errno);
    (void)snprintf(out, size, "cannot be read: %s failed with %s (%s)", f->report->failure,
                   name ? name : "an unknown error", words ? words : "?");
}

static void write_label(const struct disk_facts *f, char *out, size_t size)
{
    text_clean(out, size, f->report->super.label, SUPERBLOCK_LABEL_MAX);
}

static void explain_damaged(const struct disk_facts *f, char *out, size_t size)
{
    char label[SUPERBLOCK_LABEL_MAX + 1];
    write_label(f, label, sizeof label);
    (void)snprintf(out, size,
                   "the btrfs superblock at %" PRIu64 " of a pool labelled \"%s\" is damaged: its "
                   "checksum does not fit; nothing is written to it",
                   superblock_offsets[0], label);
}

static void explain_twice(const struct disk_facts *f, char *out, size_t size)
{
    (void)snprintf(out, size,
                   "%s carries the same btrfs device (fsid %s, devid %" PRIu64
                   "); neither is used until one is gone",
                   f->twin, f->report->super.fsid, f->report->super.devid);
}

static void explain_unfinished(const struct disk_facts *f, char *out, size_t size)
{
    (void)snprintf(out, size, "pool %s was begun and not finished; poold finishes it",
                   f->report->super.fsid);
}

static void explain_half_wiped(const struct disk_facts *f, char *out, size_t size)
{
    (void)f;
    (void)snprintf(out, size, "a wipe of it was cut off; wipe it again");
}

static void explain_foreign(const struct disk_facts *f, char *out, size_t size)
{
    char list[CLASSIFY_REASON_MAX / 2];
    classify_list_signatures(f->report, list, sizeof list);
    (void)snprintf(out, size, "carries %s; wipe it if that is not needed any more",
                   *list ? list : "a btrfs superblock at 65536");
}

static void explain_member(const struct disk_facts *f, char *out, size_t size)
{
    char list[CLASSIFY_REASON_MAX / 2];
    classify_list_signatures(f->report, list, sizeof list);
    if (has_only_btrfs(f))
        (void)snprintf(out, size, "belongs to pool %s", f->report->super.fsid);
    else
        (void)snprintf(out, size, "belongs to pool %s, but other things stand on it too: %s",
                       f->report->super.fsid, list);
}

static void explain_read_only(const struct disk_facts *f, char *out, size_t size)
{
    (void)f;
    (void)snprintf(out, size, "carries nothing, but is write-protected: no pool can be made on it");
}

static void explain_blank(const struct disk_facts *f, char *out, size_t size)
{
    if (f->size_bytes < CLASSIFY_POOL_MIN_BYTES)
        (void)snprintf(out, size,
                       "carries nothing; with %" PRIu64 " bytes it is too small for a pool, which "
                       "takes %" PRIu64,
                       f->size_bytes, CLASSIFY_POOL_MIN_BYTES);
    else
        (void)snprintf(out, size, "carries nothing: no signature of any kind");
}

/* ---- the table ---- */

static const struct rule {
    bool (*holds)(const struct disk_facts *facts);
    Storage__V1__DiskState state;
    explain_fn explain;
    bool shows_pool;
} rules[] = {
    {in_use, STORAGE__V1__DISK_STATE__DISK_STATE_IN_USE, explain_in_use, false},
    {is_late, STORAGE__V1__DISK_STATE__DISK_STATE_UNKNOWN, explain_late, false},
    {not_read, STORAGE__V1__DISK_STATE__DISK_STATE_UNKNOWN, explain_not_read, false},
    {changed_midway, STORAGE__V1__DISK_STATE__DISK_STATE_UNKNOWN, explain_changed, false},
    {claimed, STORAGE__V1__DISK_STATE__DISK_STATE_IN_USE, explain_claimed, false},
    {unreadable, STORAGE__V1__DISK_STATE__DISK_STATE_BROKEN, explain_unreadable, false},
    {is_ours_damaged, STORAGE__V1__DISK_STATE__DISK_STATE_BROKEN, explain_damaged, true},
    {is_ours_twice, STORAGE__V1__DISK_STATE__DISK_STATE_DUPLICATE, explain_twice, true},
    {is_ours_unfinished_alone, STORAGE__V1__DISK_STATE__DISK_STATE_UNFINISHED, explain_unfinished,
     true},
    {is_ours_unfinished, STORAGE__V1__DISK_STATE__DISK_STATE_FOREIGN, explain_foreign, false},
    {is_ours, STORAGE__V1__DISK_STATE__DISK_STATE_POOL_MEMBER, explain_member, true},
    {is_half_wiped, STORAGE__V1__DISK_STATE__DISK_STATE_FOREIGN, explain_half_wiped, false},
    {carries_something, STORAGE__V1__DISK_STATE__DISK_STATE_FOREIGN, explain_foreign, false},
    {is_read_only, STORAGE__V1__DISK_STATE__DISK_STATE_BROKEN, explain_read_only, false},
    {always, STORAGE__V1__DISK_STATE__DISK_STATE_BLANK, explain_blank, false},
};

void classify_state(const struct disk_facts *facts, struct disk_verdict *out_verdict)
{
    const struct rule *rule = rules;
    while (!rule->holds(facts))
        rule++;
    *out_verdict = (struct disk_verdict){.state = rule->state, .shows_pool = rule->shows_pool};
    rule->explain(facts, out_verdict->reason, sizeof out_verdict->reason);
}

bool classify_is_preparable(const struct disk_verdict *verdict, uint64_t size_bytes)
{
    return verdict->state == STORAGE__V1__DISK_STATE__DISK_STATE_BLANK &&
           size_bytes >= CLASSIFY_POOL_MIN_BYTES;
}

Storage__V1__DiskType classify_type(const struct disk_facts *facts,
                                    char out_evidence[CLASSIFY_EVIDENCE_MAX])
{
    const struct {
        bool holds;
        Storage__V1__DiskType type;
        const char *evidence;
    } says[] = {
        {facts->said_ssd, STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD, "config"},
        {facts->said_hdd, STORAGE__V1__DISK_TYPE__DISK_TYPE_HDD, "config"},
        {facts->rotational == 0, STORAGE__V1__DISK_TYPE__DISK_TYPE_SSD, "rotational=0"},
        {facts->rotational == 1, STORAGE__V1__DISK_TYPE__DISK_TYPE_HDD, "rotational=1"},
        {true, STORAGE__V1__DISK_TYPE__DISK_TYPE_UNKNOWN, "the queue does not say"},
    };
    size_t i = 0;
    while (!says[i].holds)
        i++;
    (void)snprintf(out_evidence, CLASSIFY_EVIDENCE_MAX, "%s", says[i].evidence);
    return says[i].type;
}
