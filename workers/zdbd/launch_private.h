/*
 * What the launcher's files share: one struct through all stages, each a function that returns 0 or
 * the error that ends the launch. The contract is in launch.h.
 *
 * The home and the run directory belong to the pool's unprivileged uid and may hold anything, links
 * and pipes included. So what is inside them is done as that uid: nothing can come of it that its
 * owner could not do himself.
 */
#ifndef WORKERS_ZDBD_LAUNCH_PRIVATE_H
#define WORKERS_ZDBD_LAUNCH_PRIVATE_H

#include "launch.h"
#include "record.h"

#include <stdbool.h>

enum {
    LAUNCH_HOME_FD = 0, /* the home, locked: as it stays in the 0-db */
    LAUNCH_PASSWORD_SIZE = 65,
};
#define LAUNCH_GATES "gates" /* in the run directory */

struct launch {
    /* flags: borrowed of argv */
    const char *home, *run, *listen, *binary;
    gid_t gid;
    uint16_t proposed_port, first_port, last_port;
    uint32_t files;
    uint64_t memory_bytes;
    bool upstream, sync;

    int run_fd, binary_fd, gates_fd;
    char password[LAUNCH_PASSWORD_SIZE];
    struct zdb_record record;    /* filled in on the way; its pool, uid and port are those of all */
    enum launch_failure failure; /* of the present stage */
};

/* launch_options.c */
int launch_parse_options(struct launch *launch, int argc, char **argv, struct err *err);

/* launch_home.c */
int launch_take_home(struct launch *launch, struct err *err);
/* As the uid: port and password, data/ and index/. */
int launch_keep_instance(struct launch *launch, struct err *err);
int launch_make_places(struct launch *launch, struct err *err);

/* launch_port.c: 0, or -errno; EADDRINUSE when somebody has it. */
int launch_try_port(const char *listen_address, uint16_t port, bool kept);

/* launch_run.c */
int launch_make_run_dir(struct launch *launch, struct err *err);
/* As the uid. */
int launch_open_log(struct launch *launch, struct err *err);
int launch_write_gates(struct launch *launch, struct err *err);
int launch_write_password(struct launch *launch, struct err *err);

/* launch_confine.c: signals, session, umask and descriptors; then what no capability is needed for
 * later; then user and capabilities. */
int launch_begin(struct launch *launch, struct err *err);
int launch_confine(struct launch *launch, struct err *err);
int launch_drop(struct launch *launch, struct err *err);

/* Becomes the uid for files, and root again; without supplementary groups in both. */
int launch_be_owner(const struct launch *launch, struct err *err);
int launch_be_root(struct err *err);

#endif
