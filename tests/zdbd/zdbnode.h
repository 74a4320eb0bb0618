/* Nodes that serve 0-db: calls on namespaces, and clients inside them. */
#ifndef TESTS_ZDBD_ZDBNODE_H
#define TESTS_ZDBD_ZDBNODE_H

#include "client.h"
#include "poolnode.h"

#define ZDB(s)       STORAGE__V1__ZDBSTATE__ZDB_STATE_##s
#define NAMESPACE(s) STORAGE__V1__ZDBNAMESPACE_STATE__ZDB_NAMESPACE_STATE_##s
#define MODE(s)      STORAGE__V1__ZDBMODE__ZDB_MODE_##s

#define PASSWORD "open sesame"

/* As poolnode_start(), with zdbd. */
#define zdbnode_start(...) zdbnode_start_list((struct disk *const[]){__VA_ARGS__, NULL})
struct node *zdbnode_start_list(struct disk *const *disks);
/* The same, not started. */
struct node *zdbnode_create_list(struct disk *const *disks);

/* Starts it, and makes a pool on each of the disks. */
void zdbnode_start_pools(struct node *node, struct disk *const *disks);

struct steps;
/* A node on one disk where the steps of that program are counted and spared, started; a death is
 * nothing to wait for there. */
struct node *zdbnode_start_watched(const char *program, uint64_t disk_bytes,
                                   struct steps **out_steps);

/* A request for an SSD namespace of user mode under PASSWORD. */
Storage__V1__NamespaceReserveRequest zdbnode_request(const char *name, uint64_t size_bytes);
int zdbnode_call_reserve(struct storage *storage,
                         const Storage__V1__NamespaceReserveRequest *request,
                         Storage__V1__ZDBNamespace **out_namespace, struct err *err);
Storage__V1__ZDBNamespace *zdbnode_reserve(struct node *node, const char *name,
                                           uint64_t size_bytes);
int zdbnode_call_release(struct storage *storage, const char *id, bool *out_existed,
                         struct err *err); /* `out_existed` may be NULL */
bool zdbnode_release(struct node *node, const char *id);
Storage__V1__ZDBNamespace *zdbnode_get(struct node *node, const char *id);
Storage__V1__NamespaceListReply *zdbnode_list(struct node *node);
Storage__V1__NamespaceUsage *zdbnode_usage(struct node *node, const char *id);
/* The id of the only pool; freed by the caller. */
char *zdbnode_only_pool(struct node *node);
/* The 0-db of this pool; NULL: of the only one. */
Storage__V1__ZDBInstance *zdbnode_instance(struct node *node, const char *pool);
void zdbnode_wait_instance(struct node *node, const char *pool, Storage__V1__ZDBState state);
void zdbnode_wait_namespace(struct node *node, const char *id,
                            Storage__V1__ZDBNamespaceState state);
/* So many namespaces are listed, on all pages, each of them LIVE. */
void zdbnode_wait_all_live(struct node *node, size_t n);
/* Kills zdbd, and waits for the next one. */
void zdbnode_kill_zdbd(struct node *node);

/* A client over TCP that has selected the namespace under the password. */
struct client *zdbnode_enter(const Storage__V1__ZDBNamespace *space, const char *password);
/* Says these words, and fails the test unless the answer begins so. */
#define zdbnode_say(client, answer, ...)                                                           \
    zdbnode_say_words((client), (answer), (const struct word[]){__VA_ARGS__},                      \
                      sizeof((const struct word[]){__VA_ARGS__}) / sizeof(struct word))
void zdbnode_say_words(struct client *client, const char *answer, const struct word *words,
                       size_t n);
/* Fails the test unless the 0-db answers so. */
void zdbnode_set(struct client *client, const char *key, const char *value);
void zdbnode_must_get(struct client *client, const char *key, const char *value);

/* poold's books and zdbd's agree: as many bookings as namespaces, none pending, their bytes booked.
 */
void zdbnode_must_balance(struct node *node, size_t n_namespaces);
/* The only 0-db has the namespaces that are listed, so many, and but its own none besides. */
void zdbnode_must_agree(struct node *node, size_t n_namespaces);

#endif
