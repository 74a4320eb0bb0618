/*
 * An instance on a loop of the test's, with a home and a run directory of its own, and what it
 * told. Its 0-db is the real one, or the stand-in (standin.c) with a script. For tests in the
 * harness's sandbox, which ends whatever process a test leaves.
 */
#ifndef TESTS_ZDBD_INSTBED_H
#define TESTS_ZDBD_INSTBED_H

#include "harness.h"
#include "instance_private.h"
#include "link_private.h"

#define INSTBED_POOL "7d1c0000-0000-4000-8000-0000000000bb"
#define IS(name)     STORAGE__V1__ZDBSTATE__ZDB_STATE_##name

enum { INSTBED_UID = 861300, INSTBED_TOLD_MAX = 256, INSTBED_PORT = 9900, INSTBED_PORTS = 3 };

struct instbed_told {
    char topic[32];
    char reason[ERR_MESSAGE_MAX];
};

struct instbed_change {
    Storage__V1__ZDBState was, is;
    uint32_t retry_in_ms;
};

struct instbed {
    uv_loop_t loop;
    uv_timer_t tick; /* so that each wait has an end */
    struct settings *settings;
    char home[HARNESS_PATH_MAX], run[HARNESS_PATH_MAX], binary[HARNESS_PATH_MAX];
    uint16_t port; /* the first of the range */
    struct instance *instance;
    struct instbed_told told[INSTBED_TOLD_MAX];
    struct instbed_change changes[INSTBED_TOLD_MAX];
    size_t n_told, n_changes;
    size_t n_told_before, n_changes_before; /* what a wait has seen */
};

/* harness_main(), in a network of its own: the ports are nobody else's. */
int instbed_main(int argc, char **argv, const char *group, const struct harness_case *cases,
                 size_t n_cases);

/* An instance that nobody wants yet; with a stand-in for its 0-db if there is a script. Times are
 * short from now on, but for those that the test is to see. */
void instbed_open(struct instbed *bed, const char *script);
void instbed_close(struct instbed *bed);
void instbed_script(const struct instbed *bed, const char *script);
/* How often the stand-in was given this command; "start": how often it was started. */
unsigned instbed_count(const struct instbed *bed, const char *command);

void instbed_want(struct instbed *bed);
/* Wants it, until it is up. */
void instbed_up(struct instbed *bed);
/* Lets go of the instance and makes another one, as a next zdbd does. */
void instbed_renew(struct instbed *bed);

/* Turns the loop until the condition holds. */
#define instbed_until(bed, condition)                                                              \
    for (uint64_t deadline_ = clock_monotonic_ms() + HARNESS_WAIT_MS; !(condition);)               \
    instbed_turn((bed), deadline_, #condition)
void instbed_turn(struct instbed *bed, uint64_t deadline, const char *what);

pid_t instbed_pid(const struct instbed *bed);
/* The next change to this state, and what was told since the last wait for that topic: its reason.
 */
const struct instbed_change *instbed_wait(struct instbed *bed, Storage__V1__ZDBState state);
const char *instbed_wait_told(struct instbed *bed, const char *topic);
/* Whether it was told at all. */
bool instbed_was_told(const struct instbed *bed, const char *topic);
/* A TCP port that is held by this listener; -1 if it is not to be had. */
int instbed_hold(uint16_t port);
/* For instance_send(). */
void instbed_ignore(const redisReply *reply, const struct err *err, void *data);
/* Until the 0-db has answered; NULL-terminated words. The reply's text. */
const char *instbed_ask(struct instbed *bed, const char *const *words);
#define instbed_ask(bed, ...) instbed_ask((bed), (const char *const[]){__VA_ARGS__, NULL})

#endif
