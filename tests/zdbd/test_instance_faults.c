/* A pool's 0-db that cannot be had: none there, none that answers, one that cannot be killed. */
#include "instbed.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

static struct instbed bed;

static void a_binary_that_is_not_there_is_waited_for(void)
{
    instbed_open(&bed, "");
    autofree char *aside = path_format("%s.aside", bed.binary);
    assert_int_equal(rename(bed.binary, aside), 0);
    instbed_want(&bed);
    assert_non_null(strstr(instbed_wait_told(&bed, "zdb.failed"), "No such file"));
    assert_int_equal(rename(aside, bed.binary), 0);
    (void)instbed_wait(&bed, IS(UP));
    instbed_close(&bed);
}

/* It never gives up, and what repeats is told once. */
static void the_same_failure_is_told_once(void)
{
    instbed_open(&bed, "");
    instance_times()->backoff_max_ms = 2;
    assert_int_equal(unlink(bed.binary), 0);
    instbed_want(&bed);
    for (int i = 0; i < 70; i++)
        (void)instbed_wait(&bed, IS(WAITING));
    assert_int_equal(bed.n_told, 1);
    instbed_close(&bed);
}

static void another_binary_on_the_disk_is_told(void)
{
    Storage__V1__ZDBInstance described;
    instbed_open(&bed, "");
    instbed_up(&bed);
    instance_describe(bed.instance, &described);
    assert_false(described.binary_changed);
    autofree char *fresh = path_format("%s.new", bed.binary);
    command_ok("cp", bed.binary, fresh);
    assert_int_equal(rename(fresh, bed.binary), 0);
    instance_describe(bed.instance, &described);
    assert_true(described.binary_changed);
    instance_restart(bed.instance, "for its new program");
    (void)instbed_wait(&bed, IS(UP));
    instance_describe(bed.instance, &described);
    assert_false(described.binary_changed);
    instbed_close(&bed);
}

static void one_that_hangs_up_is_asked_again(void)
{
    instbed_open(&bed, "");
    instbed_up(&bed);
    pid_t pid = instbed_pid(&bed);
    instbed_script(&bed, "INFO close\n");
    (void)instbed_wait(&bed, IS(STARTING));
    instbed_script(&bed, "");
    (void)instbed_wait(&bed, IS(UP));
    assert_int_equal(instbed_pid(&bed), pid);
    instbed_close(&bed);
}

static void one_that_always_hangs_up_is_killed(void)
{
    instbed_open(&bed, "INFO close\n");
    instbed_want(&bed);
    assert_string_equal(instbed_wait_told(&bed, "zdb.unhealthy"), "it closed the connection");
    assert_string_equal(instbed_wait_told(&bed, "zdb.ended"), "signal 9 (Killed)");
    assert_int_equal(instbed_count(&bed, "AUTH"), INSTANCE_RELINKS_MAX + 1);
    assert_string_equal(instbed_wait_told(&bed, "zdb.ended"), "signal 9 (Killed)");
    assert_int_equal(instbed_count(&bed, "AUTH"), 2 * (INSTANCE_RELINKS_MAX + 1));
    instbed_close(&bed);
}

static void one_that_does_not_know_the_password_is_killed(void)
{
    instbed_open(&bed, "AUTH say -Access denied\n");
    instbed_want(&bed);
    assert_non_null(strstr(instbed_wait_told(&bed, "zdb.unhealthy"), "password"));
    instbed_script(&bed, "");
    (void)instbed_wait(&bed, IS(UP));
    instbed_close(&bed);
}

static void one_that_accepts_nobody_is_killed(void)
{
    instbed_open(&bed, "start deaf\n");
    instbed_want(&bed);
    assert_non_null(strstr(instbed_wait_told(&bed, "zdb.hung"), "AUTH was not answered"));
    instbed_script(&bed, "");
    (void)instbed_wait(&bed, IS(UP));
    instbed_close(&bed);
}

/* A large one loads for long: it is looked for a few times before it counts as lost. */
static void one_that_never_has_a_socket_is_killed(void)
{
    instbed_open(&bed, "start silent\n");
    link_set_times(&(struct link_times){.ping_ms = 200, .answer_ms = 2000, .start_ms = 20});
    instbed_want(&bed);
    (void)instbed_wait_told(&bed, "zdb.unhealthy");
    link_set_times(&(struct link_times){.ping_ms = 200, .answer_ms = 2000, .start_ms = 20000});
    instbed_script(&bed, "");
    (void)instbed_wait(&bed, IS(UP));
    instbed_close(&bed);
}

static void a_launcher_that_hangs_is_killed(void)
{
    instbed_open(&bed, NULL);
    instance_times()->launch_ms = 0;
    instbed_want(&bed);
    assert_string_equal(instbed_wait_told(&bed, "zdb.hung"), "its launcher hangs");
    instance_times()->launch_ms = 30000;
    (void)instbed_wait(&bed, IS(UP));
    instbed_close(&bed);
}

/* It cannot even be killed while the kernel holds it; that ends, and then all goes on. */
static void one_whose_disk_hangs_is_waited_for(void)
{
    struct disk *disk = disk_create(256 * MiB, DISK_SSD);
    autofree char *mounted = path_format("%s/btrfs", harness_dir());
    instbed_open(&bed, NULL);
    instance_times()->stop_ms = 20;
    link_set_times(&(struct link_times){.ping_ms = 200, .answer_ms = 1000, .start_ms = 20000});
    command_ok("mkfs.btrfs", "-q", disk->path);
    assert_int_equal(mkdir(mounted, 0755), 0);
    assert_int_equal(mount(disk->path, mounted, "btrfs", 0, NULL), 0);
    (void)snprintf(bed.home, sizeof bed.home, "%s/data", mounted);
    assert_int_equal(mkdir(bed.home, 0700), 0);
    assert_int_equal(chown(bed.home, INSTBED_UID, INSTBED_UID), 0);
    instbed_up(&bed);
    pid_t pid = instbed_pid(&bed);
    struct freezer freezer = filesystem_freeze(mounted);
    (void)instbed_wait_told(&bed, "zdb.hung");
    instbed_until(&bed, strstr(instance_reason(bed.instance), "does not end"));
    assert_int_equal(instance_state(bed.instance), IS(STOPPING));
    assert_int_equal(kill(pid, 0), 0);
    filesystem_thaw(&freezer);
    (void)instbed_wait(&bed, IS(UP));
    assert_int_not_equal(instbed_pid(&bed), pid);
    instance_unwant(bed.instance, "the end");
    (void)instbed_wait(&bed, IS(IDLE));
    instbed_close(&bed);
    assert_int_equal(umount2(mounted, MNT_DETACH), 0);
}

int main(int argc, char **argv)
{
    static const struct harness_case cases[] = {
        harness_case(a_binary_that_is_not_there_is_waited_for),
        harness_case(the_same_failure_is_told_once),
        harness_case(another_binary_on_the_disk_is_told),
        harness_case(one_that_hangs_up_is_asked_again),
        harness_case(one_that_always_hangs_up_is_killed),
        harness_case(one_that_does_not_know_the_password_is_killed),
        harness_case(one_that_accepts_nobody_is_killed),
        harness_case(one_that_never_has_a_socket_is_killed),
        harness_case(a_launcher_that_hangs_is_killed),
        harness_case(one_whose_disk_hangs_is_waited_for),
    };
    return instbed_main(argc, argv, "zdbd_instance_faults", cases, array_length(cases));
}
