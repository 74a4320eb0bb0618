/* What the canary and the counters of errors say of a 0-db that answers. */
#include "instbed.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

static struct instbed bed;

#define SAID(text) assert_said(instbed_wait_told(&bed, "zdb.unhealthy"), (text))

static void assert_said(const char *reason, const char *text)
{
    if (!strstr(reason, text))
        fail_msg("not \"%s\", but: %s", text, reason);
}

static void wait_rounds(unsigned n)
{
    unsigned before = instbed_count(&bed, "INFO");
    instbed_until(&bed, instbed_count(&bed, "INFO") >= before + n);
}

/* --- a real 0-db ----------------------------------------------------------------------------- */

/* For as long as it takes until the canary's namespace is too large, and is made anew. */
static void one_that_is_well_is_nothing_to_tell_of(void)
{
    const struct health *health;
    instbed_open(&bed, NULL);
    instance_times()->canary_ms = 1;
    health = &bed.instance->health;
    instbed_up(&bed);
    instbed_until(&bed, health->canary_bytes > INSTANCE_CANARY_MAX_BYTES / 2);
    instbed_until(&bed,
                  health->canary_bytes > 0 && health->canary_bytes < INSTANCE_CANARY_MAX_BYTES / 2);
    assert_int_equal(bed.n_told, 1);
    assert_string_equal(bed.told[0].topic, "zdb.launched");
    instbed_close(&bed);
}

static void the_canary_is_nobody_elses(void)
{
    instbed_open(&bed, NULL);
    instbed_up(&bed);
    assert_string_equal(instbed_ask(&bed, "PING"), "PONG");
    const char *info = instbed_ask(&bed, "NSINFO", INSTANCE_CANARY_NAMESPACE);
    assert_said(info, "password: yes");
    assert_said(info, "public: no");
    assert_said(info, "data_limits_bytes: 32768");
    assert_string_equal(instbed_ask(&bed, "SELECT", INSTANCE_CANARY_NAMESPACE),
                        "Namespace protected and private");
    instbed_close(&bed);
}

static void next_one_has_another_password(void)
{
    instbed_open(&bed, NULL);
    instbed_up(&bed);
    assert_string_equal(instbed_ask(&bed, "PING"), "PONG");
    instbed_renew(&bed);
    assert_int_equal(instance_adopt(bed.instance, NULL), 0);
    (void)instbed_wait(&bed, IS(UP));
    assert_string_equal(instbed_ask(&bed, "PING"), "PONG");
    assert_false(instbed_was_told(&bed, "zdb.unhealthy"));
    instbed_close(&bed);
}

/* A value of a client's that the disk gave back as another. */
static void broken_entries_of_a_namespace_are_told(void)
{
    static const char *const enter[] = {"SELECT", "mine"}, *const set[] = {"SET", "key", "value"},
                             *const get[] = {"GET", "key"};
    instbed_open(&bed, NULL);
    instbed_up(&bed);
    assert_string_equal(instbed_ask(&bed, "NSNEW", "mine"), "OK");
    assert_int_equal(instance_send(bed.instance, 2, enter, NULL, instbed_ignore, NULL, NULL), 0);
    assert_int_equal(instance_send(bed.instance, 3, set, NULL, instbed_ignore, NULL, NULL), 0);
    assert_string_equal(instbed_ask(&bed, "SELECT", "default"), "OK");

    autofree char *path = path_format("%s/data/mine/d0", bed.home);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat status;
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    assert_int_equal(pwrite(fd, "X", 1, status.st_size - 1), 1);
    (void)close(fd);
    assert_int_equal(instance_send(bed.instance, 2, enter, NULL, instbed_ignore, NULL, NULL), 0);
    assert_int_equal(instance_send(bed.instance, 2, get, NULL, instbed_ignore, NULL, NULL), 0);
    assert_string_equal(instbed_ask(&bed, "SELECT", "default"), "OK");
    SAID("namespace mine has errors: they rose from 0 to 1");
    (void)instbed_wait_told(&bed, "zdb.recovered");
    instbed_close(&bed);
}

/* --- no room --------------------------------------------------------------------------------- */

static void fill_and_free(const char *text)
{
    autofree char *path = path_format("%s/ballast", bed.home);
    static const char some[4096];
    instbed_up(&bed);
    assert_string_equal(instbed_ask(&bed, "PING"), "PONG");
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_SYNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (write(fd, some, sizeof some) > 0)
        ;
    (void)close(fd);
    assert_said(instbed_wait_told(&bed, "zdb.full"), text);
    assert_true(instance_is_up(bed.instance));
    assert_int_equal(unlink(path), 0);
    (void)instbed_wait_told(&bed, "zdb.recovered");
    assert_false(instbed_was_told(&bed, "zdb.unhealthy"));
    instance_unwant(bed.instance, "the end");
    (void)instbed_wait(&bed, IS(IDLE));
    instbed_close(&bed);
}

static void a_full_disk_is_told(void)
{
    instbed_open(&bed, NULL);
    autofree char *options =
        path_format("size=4m,mode=0700,uid=%d,gid=%d", INSTBED_UID, INSTBED_UID);
    assert_int_equal(mount("tmpfs", bed.home, "tmpfs", 0, options), 0);
    fill_and_free("its disk is full");
    assert_int_equal(umount2(bed.home, MNT_DETACH), 0);
}

/* The disk has room, and the 0-db's share of it is used up. */
static void a_full_quota_is_told(void)
{
    struct disk *disk = disk_create(256 * MiB, DISK_SSD);
    instbed_open(&bed, NULL);
    autofree char *mounted = path_format("%s/btrfs", harness_dir());
    command_ok("mkfs.btrfs", "-q", disk->path);
    assert_int_equal(mkdir(mounted, 0755), 0);
    assert_int_equal(mount(disk->path, mounted, "btrfs", 0, NULL), 0);
    (void)snprintf(bed.home, sizeof bed.home, "%s/data", mounted);
    command_ok("btrfs", "-q", "quota", "enable", mounted);
    command_ok("btrfs", "-q", "subvolume", "create", bed.home);
    command_ok("btrfs", "-q", "qgroup", "limit", "8M", bed.home);
    assert_int_equal(chown(bed.home, INSTBED_UID, INSTBED_UID), 0);
    fill_and_free("its share of it");
    assert_int_equal(umount2(mounted, MNT_DETACH), 0);
}

/* --- one that misbehaves --------------------------------------------------------------------- */

/* It is ended once: what another process does not mend is only told. */
static void a_canary_that_is_read_as_another_ends_it_once(void)
{
    instbed_open(&bed, "GET text another\n");
    instbed_up(&bed);
    SAID("GET gives what was not SET");
    assert_string_equal(instbed_wait_told(&bed, "zdb.ended"), "signal 9 (Killed)");
    (void)instbed_wait(&bed, IS(UP));
    wait_rounds(3);
    assert_int_equal(instbed_count(&bed, "start"), 2);
    instbed_script(&bed, "");
    (void)instbed_wait_told(&bed, "zdb.recovered");
    instbed_script(&bed, "GET text another\n");
    SAID("GET gives what was not SET");
    (void)instbed_wait_told(&bed, "zdb.ended");
    instbed_close(&bed);
}

static void a_canary_that_fails_is_told_once_and_no_end(void)
{
    static const struct {
        const char *script, *text;
    } cases[] = {
        {"CHECK say :0\n", "CHECK finds it broken"},
        {"CHECK say $-1\n", "CHECK finds it broken"},
        {"GET say -Internal Error\n", "GET: Internal Error"},
        {"SET say -Namespace is in read-only mode\n", "SET: Namespace is in read-only mode"},
        {"SET say $-1\n", "SET: an answer that makes no sense"},
        {"SELECT say -Access denied\n", "SELECT: Access denied"},
        {"NSNEW say -Could not create namespace\nSELECT say -Namespace not found\n",
         "NSNEW: Could not create namespace"},
        {"NSSET say -Namespace not found\nSELECT say -Namespace not found\n",
         "NSSET: Namespace not found"},
        {"CHECK say :0\nINFO say -no\n", "CHECK finds it broken"},
        {"GET say -\033[2J\377\n", "GET: ?[2J?"},
    };
    for (size_t i = 0; i < array_length(cases); i++) {
        instbed_open(&bed, cases[i].script);
        instance_times()->canary_ms = 5;
        instbed_up(&bed);
        SAID(cases[i].text);
        wait_rounds(2);
        assert_int_equal(bed.n_told, 2);
        instbed_script(&bed, "");
        instance_restart(bed.instance, "NSNEW and NSSET come with the link alone");
        (void)instbed_wait_told(&bed, "zdb.recovered");
        assert_int_equal(instbed_count(&bed, "start"), 2);
        instbed_close(&bed);
    }
}

static void a_canary_that_hangs_ends_it(void)
{
    instbed_open(&bed, "SET hang\n");
    instbed_up(&bed);
    (void)instbed_wait_told(&bed, "zdb.hung");
    instbed_script(&bed, "");
    (void)instbed_wait(&bed, IS(UP));
    instbed_close(&bed);
}

static void a_refusal_without_errors_is_for_want_of_room(void)
{
    instbed_open(&bed, "SET say -Cannot write index right now\n");
    instbed_up(&bed);
    (void)instbed_wait_told(&bed, "zdb.full");
    instbed_script(&bed, "SET say -Cannot write data right now\n"
                         "NSINFO text # namespace;stats_data_io_errors: 2\n");
    SAID("cannot be written to the disk");
    instbed_script(&bed, "SET say -Cannot write data right now\n"
                         "NSINFO text # namespace;stats_data_io_errors: 4;"
                         "data_disk_freespace_bytes: 4096\n");
    assert_said(instbed_wait_told(&bed, "zdb.full"), "its disk is full: ");
    instbed_script(&bed, "");
    (void)instbed_wait_told(&bed, "zdb.recovered");
    instbed_close(&bed);
}

/* Where there is no room, another namespace could not be made. */
static void a_large_canary_stays_while_the_disk_is_full(void)
{
    instbed_open(&bed, "SET say -Cannot write data right now\n"
                       "NSINFO text # namespace;data_current_offset: 2000000\n");
    instance_times()->canary_ms = 5;
    instbed_up(&bed);
    wait_rounds(3);
    assert_int_equal(instbed_count(&bed, "NSDEL"), 0);
    assert_int_equal(instbed_count(&bed, "NSNEW"), 1);
    instbed_script(&bed, "NSINFO text # namespace;data_current_offset: 2000000\n");
    instbed_until(&bed, instbed_count(&bed, "NSDEL") > 0 && instbed_count(&bed, "NSNEW") > 1);
    instbed_close(&bed);
}

static void counters_that_rise_are_told_with_their_figures(void)
{
    instbed_open(&bed, "");
    instbed_up(&bed);
    instbed_script(&bed, "INFO text # stats;data_disk_read_failed: 3\n");
    SAID("data_disk_read_failed rose from 0 to 3");
    (void)instbed_wait_told(&bed, "zdb.recovered");
    instbed_script(&bed, "INFO text # stats;data_disk_read_failed: 7\n");
    SAID("data_disk_read_failed rose from 3 to 7");
    instbed_script(&bed, "INFO text # stats;data_disk_read_failed: 7;index_disk_write_failed: 1\n");
    SAID("index_disk_write_failed rose from 0 to 1");
    instbed_script(&bed, "INFO text # stats;data_disk_read_failed: 9999999999999999999999\n");
    (void)instbed_wait_told(&bed, "zdb.recovered");
    wait_rounds(3);
    assert_int_equal(bed.n_told, bed.n_told_before);
    instbed_close(&bed);
}

static void a_new_process_counts_from_the_beginning(void)
{
    instbed_open(&bed, "INFO text # stats;data_disk_read_failed: 3\n");
    instbed_up(&bed);
    SAID("data_disk_read_failed rose from 0 to 3");
    instance_restart(bed.instance, "for a new disk");
    (void)instbed_wait_told(&bed, "zdb.launched");
    SAID("data_disk_read_failed rose from 0 to 3");
    instbed_close(&bed);
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(one_that_is_well_is_nothing_to_tell_of),
        harness_case(the_canary_is_nobody_elses),
        harness_case(next_one_has_another_password),
        harness_case(broken_entries_of_a_namespace_are_told),
        harness_case(a_full_disk_is_told),
        harness_case(a_full_quota_is_told),
        harness_case(a_canary_that_is_read_as_another_ends_it_once),
        harness_case(a_canary_that_fails_is_told_once_and_no_end),
        harness_case(a_canary_that_hangs_ends_it),
        harness_case(a_refusal_without_errors_is_for_want_of_room),
        harness_case(a_large_canary_stays_while_the_disk_is_full),
        harness_case(counters_that_rise_are_told_with_their_figures),
        harness_case(a_new_process_counts_from_the_beginning),
    };
    return instbed_main(argc, argv, "zdbd_health", cases, array_length(cases));
}
