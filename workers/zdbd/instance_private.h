/* What the files of an instance share. */
#ifndef WORKERS_ZDBD_INSTANCE_PRIVATE_H
#define WORKERS_ZDBD_INSTANCE_PRIVATE_H

#include "instance.h"

#include "base/uuid.h"

#include <limits.h>

enum {
    INSTANCE_LAUNCH_MS = 30000, /* a launcher that takes as long hangs, on the pool's disk */
    INSTANCE_RELINKS_MAX = 3,   /* connections that a process may close, while it runs on */
    INSTANCE_MISSING_MAX = 8,
};

/* Of every instance; a seam for tests, which do not wait as long. */
struct instance_times {
    uint32_t stop_ms, canary_ms, backoff_min_ms, backoff_max_ms, forget_ms, launch_ms;
};
struct instance_times *instance_times(void);

enum health_verdict { HEALTH_WELL, HEALTH_FULL, HEALTH_SICK, HEALTH_LIES };

/* Which figures of INFO count failures. */
enum { HEALTH_COUNTERS = 4 };

/*
 * The errors that each namespace counts: broken entries show nowhere else. Some namespaces are
 * asked after each round, all of them in turn. Those that had errors are remembered, up to a most
 * number.
 */
enum { SWEEP_AT_ONCE = 64, SWEEP_KNOWN_MAX = 32, SWEEP_NAME_MAX = 128 };

struct sweep {
    unsigned next; /* in NSLIST's order */
    struct sweep_known {
        char name[SWEEP_NAME_MAX + 1];
        uint64_t errors;
    } known[SWEEP_KNOWN_MAX];
    unsigned n_known;              /* that were ever entered: the oldest give way */
    char finding[ERR_MESSAGE_MAX]; /* since the last round; empty: nothing */
};

/* The canary of one instance, and the errors its 0-db has counted. */
struct health {
    uv_timer_t timer;
    bool made;                     /* the canary's namespace, with this password */
    bool running;                  /* a round */
    char password[UUID_TEXT_SIZE]; /* new for each connection: nobody else is to fill it */
    char value[UUID_TEXT_SIZE];
    /* Of the running round. */
    enum health_verdict verdict;
    bool refused; /* its SET, for want of room or worse */
    char finding[ERR_MESSAGE_MAX];
    uint64_t free_bytes, canary_bytes, canary_errors;
    /* Of the rounds before. */
    uint64_t counters[HEALTH_COUNTERS], known_canary_errors;
    enum health_verdict told;
    char told_finding[ERR_MESSAGE_MAX];
    struct sweep sweep;
    bool lied; /* and was ended for it; not again before it was well */
};

struct instance {
    uv_loop_t *loop;
    const struct settings *settings;
    struct instance_callbacks callbacks;
    char pool[UUID_TEXT_SIZE];
    Storage__V1__ZDBState state;
    char reason[ERR_MESSAGE_MAX];
    bool wanted, closing;
    bool at_once; /* the next start has nothing to wait for */

    struct process_home home;
    char home_path[PATH_MAX];
    uint16_t proposed;   /* port; home.port, or one behind it that may be free */
    unsigned busy_ports; /* that were proposed in a row */

    struct process *process;
    struct link *link;
    struct zdb_record record; /* of the last process; pid 0: of none yet */
    bool adopted, killed;
    char missing[RECORD_MISSING_MAX];
    char *missing_words[INSTANCE_MISSING_MAX];
    size_t n_missing;
    char *socket;

    unsigned starts, failures, relinks;
    uv_timer_t timer; /* by state: how long it may start, be up, wait, stop */
    unsigned n_handles;
    struct health health;
};

const char *instance_state_text(Storage__V1__ZDBState state);

/* Never NULL for `topic`. The receiver does not change the instance from within. */
void instance_tell(struct instance *instance, const char *topic, const char *reason);
/* Ends the process; the next one is started with backoff. */
void instance_kill(struct instance *instance, const char *reason);

/* Once; the caller closes `timer` of it. */
void health_init(struct instance *instance);
/* It is up: a round now, and one each INSTANCE_CANARY_MS until health_end(). */
void health_begin(struct instance *instance);
void health_end(struct instance *instance);
/* Its process is a new one, whose counters begin at 0. */
void health_forget(struct instance *instance);

/* Of a round: the worst counts, and of that the first. */
void health_find(struct health *health, enum health_verdict verdict, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A command of terminated words, to be answered to the instance; false if it cannot be sent. */
bool health_say(struct instance *instance, link_done done, const char *const *words);
#define health_say(instance, done, ...)                                                            \
    health_say((instance), (done), (const char *const[]){__VA_ARGS__, NULL})
/* What a 0-db says goes into messages: printable, and short. */
enum { HEALTH_QUOTE_MAX = 160 };
void health_quote(char out_text[HEALTH_QUOTE_MAX], const char *said);

/* Asks some namespaces; what is found counts in the next round. */
void sweep_run(struct instance *instance);
void sweep_judge(struct sweep *sweep, struct health *health);

#endif
