/*
 * The servers that are held against each other: zdb, and redis-server as its floor. Both are
 * processes of the bench's in directories of one btrfs, at unix sockets; neither rewrites its files
 * by itself. Whatever fails here fails the bench.
 */
#ifndef BENCH_ZDB_SERVER_H
#define BENCH_ZDB_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct kv_server {
    const char *name;
    bool says_ok; /* to a SET, instead of the key */
    char *dir, *socket;
    const char *const *flags; /* of zdb beside the usual ones, NULL-terminated, or NULL */
    pid_t pid;
};

/* Where servers may have their directories: a btrfs on a disk of this bench, mounted once a case.
 * kv_unmount() when all servers have ended. */
const char *kv_mount(void);
void kv_unmount(void);

/* Servers with nothing in them, under the directory; they do not run. */
void kv_zdb(struct kv_server *out, const char *parent, const char *name, const char *const *flags);
void kv_redis(struct kv_server *out, const char *parent);
/* Until a PING is answered: the milliseconds that it took. */
double kv_start(struct kv_server *server);
/* SIGTERM, and its files are removed if asked. */
void kv_stop(struct kv_server *server, bool remove_files);
/* A connection of the caller's; -1 if nobody listens. */
int kv_connect(const struct kv_server *server);
/* Sends the command and reads the reply as far as it comes at once, terminated. */
void kv_ask(const struct kv_server *server, const char *command, char *reply, uint32_t room);
/* The processor's time that its main thread has had. */
uint64_t kv_processor_ns(const struct kv_server *server);
uint64_t kv_resident_bytes(const struct kv_server *server);

#endif
