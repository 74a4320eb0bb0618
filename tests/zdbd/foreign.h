/* Directories that another 0-db wrote, and imports of them into a node. */
#ifndef TESTS_ZDBD_FOREIGN_H
#define TESTS_ZDBD_FOREIGN_H

#include "server.h"
#include "zdbnode.h"

/* A directory of its own in the harness's; nothing runs. */
void foreign_init(struct server *foreign);
/* A password, a limit of 16 MiB, and values over so many pairs of files, some of them overwritten
 * and deleted, as the independent writer has them. */
void foreign_make_over(struct peer_ns *ns, const char *name, enum peer_mode mode, unsigned n_pairs);
/* Over three. */
void foreign_make(struct peer_ns *ns, const char *name, enum peer_mode mode);
/* The same, written and freed. */
void foreign_write(const struct server *foreign, const char *name, enum peer_mode mode);
/* The namespace answers what the writer wrote. */
void foreign_must_be_served(const Storage__V1__ZDBNamespace *space, const struct peer_ns *ns);
/* Of all files in it, with their names and owners. Freed by the caller. */
char *foreign_checksum(const struct server *foreign);

/* Into the only pool. */
int foreign_call_import(struct node *node, struct storage *storage, const struct server *foreign,
                        bool dry_run, Storage__V1__ZDBImportReply **out_reply, struct err *err);
Storage__V1__ZDBImportReply *foreign_import(struct node *node, const struct server *foreign);

const Storage__V1__ZDBNamespace *foreign_find(const Storage__V1__ZDBImportReply *reply,
                                              const char *name);
/* It was left, with this text in its reason. */
void foreign_must_be_left(const Storage__V1__ZDBImportReply *reply, const char *name,
                          const char *why);
/* The home of the only 0-db has these and no trace of another import or namespace. */
void foreign_must_hold(const struct node *node, const char *pool, const char *const *names);

#endif
