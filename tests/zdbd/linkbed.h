/*
 * A link on a loop of the test's, in a run directory of the test's. At the other end is a real 0-db
 * (bed_start_zdb()), or the test itself (bed_listen()), which says what no 0-db would.
 */
#ifndef TESTS_ZDBD_LINKBED_H
#define TESTS_ZDBD_LINKBED_H

#include "fixture.h"
#include "link.h"
#include "link_private.h"

#define BED_POOL     "5c1d0000-0000-4000-8000-0000000000aa"
#define BED_PASSWORD "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct bed {
    uv_loop_t loop;
    struct server zdb;
    char socket[PATH_MAX], password[PATH_MAX];
    int listener, peer; /* the test's own end */
    struct link *link;
    unsigned n_up, n_lost;
    enum link_loss loss;
    char reason[ERR_MESSAGE_MAX];
};

/* What became of one command, or of many. */
struct answer {
    unsigned n, n_failed;
    unsigned last;  /* the order of the last one, as `next` counts */
    unsigned *next; /* may be NULL */
    enum err_code code;
    int type;
    long long integer;
    char text[256];
    size_t length;
};

/* Makes the run directory with the password in it. The times are in force until bed_close(). */
void bed_open(struct bed *bed, const struct link_times *times);
/* Closes what is open, and wants the loop to be empty. */
void bed_close(struct bed *bed);
/* The same, and the run directory is gone as well: for another bed_open() in the same test. */
void bed_clear(struct bed *bed);

void bed_start_zdb(struct bed *bed, const char *password);
void bed_link(struct bed *bed, pid_t pid);
/* The same, until it is up. */
void bed_link_zdb(struct bed *bed);

void bed_bind(struct bed *bed);
void bed_listen(struct bed *bed);
/* Connects until the backlog is full: how many, for the caller to close. */
int bed_crowd(const struct bed *bed, int *fds, int most);
/* Until the link has come. */
void bed_accept(struct bed *bed);
/* Until this was said, before anything else; then says that. */
void bed_expect(struct bed *bed, const char *text);
void bed_say(struct bed *bed, const char *text);
/* All of it: a link at a peer that answered AUTH. */
void bed_up(struct bed *bed);
/* Nothing was said, and the link has hung up. */
void bed_expect_silence(struct bed *bed);

/* Terminated strings up to a NULL. */
int bed_try_send(struct bed *bed, struct answer *answer, const char *const *words, struct err *err);
#define bed_send(bed, answer, ...)                                                                 \
    assert_int_equal(                                                                              \
        bed_try_send((bed), (answer), (const char *const[]){__VA_ARGS__, NULL}, NULL), 0)
void bed_note(const redisReply *reply, const struct err *err, void *data);

/* Turns the loop until the counter has come so far. */
void bed_run_until(struct bed *bed, const unsigned *counter, unsigned value);
/* Keeps the loop from turning for so long. */
void bed_hold_up(uint32_t ms);
void bed_expect_loss(struct bed *bed, enum link_loss loss, const char *in_reason);

#endif
