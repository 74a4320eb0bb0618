/*
 * Orders: changes of one namespace, each a row of steps that ends with an answer. Of the loop.
 *
 * A step begins something and returns; what it began calls order_next() or order_fail() when it is
 * there. A step that has nothing to wait for returns ORDER_GO_ON. When a step fails, `undo` of the
 * kind is begun in place of the rest, and the call gets the first error when that has ended. One
 * order at a time works on a namespace.
 */
#ifndef WORKERS_ZDBD_ORDER_H
#define WORKERS_ZDBD_ORDER_H

#include "importer.h"
#include "link.h"
#include "namespace.h"
#include "nsinfo.h"
#include "rpc/client.h"
#include "rpc/server.h"
#include "worker/gate.h"

#include <uv.h>

struct node;
struct order;

enum { ORDER_GO_ON = 1, ORDER_PASSWORD_MAX = 63, ORDER_OWN_DEADLINE_MS = 30000 };

/* 0: it has begun something, ORDER_GO_ON, or a negative code. */
typedef int (*order_step)(struct order *order, struct err *err);

/* A call that waits for the end of an order that nobody asked for. */
struct order_follower {
    gate_pass_fn begin;
    const void *input;
    struct rpc_call *call;
};

struct order_kind {
    const char *name;
    const order_step *steps; /* NULL-terminated */
    const struct order_kind *undo;
    /* From this step on the change is durable: what fails then is tried again later, and the call
     * is answered as if it had gone well. 0: never. */
    size_t durable_from;
    /* Once, when the last step is done and before the call is answered. The order does not work on
     * the namespace any more: it may drop it, and sets order->space to NULL then. May be NULL. */
    void (*done)(struct order *order);
    /* Answers the call; NULL: with the namespace. */
    void (*answer)(struct order *order);
};

/* What an import takes over, and from where; `data_path` and `index_path` are another 0-db's. */
struct import_wish {
    const char *data_path, *index_path;
    const char *pool;
    const struct import_report *found;
};

struct order {
    struct node *node;
    struct namespace *space;
    struct rpc_call *call; /* NULL: nobody asked */
    const struct order_kind *kind;
    size_t step;
    uint64_t deadline_ms; /* on the monotonic clock */
    struct err err;       /* the first that failed */
    bool failed;          /* `err` is set, and the call gets it */
    unsigned n_awaited;   /* replies of the 0-db, of this step */
    struct err step_err;  /* the first of them that is none that was wanted */
    struct order_follower follower;
    struct order *next_waiting; /* in pool->waiting */
    uv_timer_t patience;        /* of the wait for a 0-db */

    /* What it is about. */
    Storage__V1__DiskType disk_type;
    uint64_t size_bytes;
    struct note note; /* as it shall be */
    char password[ORDER_PASSWORD_MAX + 1];
    size_t password_length;
    struct nsinfo info; /* of the last NSINFO */
    bool created;
    bool sent; /* something was said to the 0-db that may have made the namespace there */

    /* Of an import, and of the end of one. */
    const struct import_wish *wish; /* borrowed until `ended` */
    struct importer *importer;      /* that runs for this step */
    bool marked;                    /* a copy came so far that something may be in place */
    /* For who began it without a call: at the very end. `space` is NULL then if it is gone. */
    void (*ended)(struct order *order);
    void *ended_data;
};

/* Begins on a namespace that no order works on. `call` may be NULL. NULL without memory: the call
 * is then refused. The caller fills in what it is about, then calls order_begin(). */
struct order *order_new(struct node *node, struct namespace *space, const struct order_kind *kind,
                        struct rpc_call *call);
void order_begin(struct order *order);

void order_next(struct order *order);
/* Copies `err`. */
void order_fail(struct order *order, const struct err *err);

/* Steps are made of these. Each ends in order_next() or order_fail(). */
int order_book_call(struct order *order, const char *method, const ProtobufCMessage *input,
                    struct err *err); /* the booking in the reply is learnt */
int order_wait_up(struct order *order, struct err *err);
/* One command, which has to be answered by "+OK" or, if `tolerate`, by any reply. Several in one
 * step leave together, and the step ends with the last reply. */
int order_say(struct order *order, bool tolerate, const char *const *arguments, int n,
              struct err *err);
/* NSDEL: gone by it, or before. */
int order_say_gone(struct order *order, struct err *err);
int order_say_password(struct order *order, struct err *err);
int order_ask_info(struct order *order, struct err *err); /* order->info */

/* The pool's 0-db is up, or has changed: those who wait for it look again. */
void orders_pool_changed(struct pool *pool);

/* We stop: who waits fails. */
void orders_cancel_waiting(struct node *node);
void orders_close_importers(struct node *node);
/* We are about to: what runs on a pool's disk ends. */
void orders_kill_importers(struct node *node);

/* ---- the kinds ---- */

/* Of NamespaceService; passed by the gate. Each answers its call. */
void reserve_begin(struct node *node, const void *input, struct rpc_call *call);
void release_begin(struct node *node, const void *input, struct rpc_call *call);
void resize_begin(struct node *node, const void *input, struct rpc_call *call);
void set_password_begin(struct node *node, const void *input, struct rpc_call *call);
void set_public_begin(struct node *node, const void *input, struct rpc_call *call);
void lock_begin(struct node *node, const void *input, struct rpc_call *call);
void freeze_begin(struct node *node, const void *input, struct rpc_call *call);

/* Takes over one namespace of another 0-db; `ended` gets `data`. False, and nothing has begun,
 * without memory. */
bool import_begin(struct node *node, const struct import_wish *wish,
                  void (*ended)(struct order *order), void *data);

/* What is booked for it. */
uint64_t import_size(const struct import_report *found);

/* Ends what is DYING or UNDONE. */
void end_begin(struct node *node, struct namespace *space);
/* Gives a LIVE one what it should have by its booking. */
void align_begin(struct node *node, struct namespace *space);

/* Steps and ends that kinds share. */
int step_remove(struct order *order, struct err *err); /* from the 0-db, if it may be there */
int step_unbook(struct order *order, struct err *err);
int step_settle(struct order *order, struct err *err);
/* Of what was imported; they do nothing to another. */
int step_look(struct order *order, struct err *err);  /* order->marked */
int step_clear(struct order *order, struct err *err); /* what no 0-db has loaded */
int step_note(struct order *order, struct err *err);  /* order->note and size_bytes are noted */
void drop_space(struct order *order);

/* The namespace that a call names, LIVE and free for an order; else NULL, and the call is answered,
 * or `begin` is called again when an order of our own has left the namespace. */
struct namespace *order_find_free(struct node *node, const char *id, gate_pass_fn begin,
                                  const void *input, struct rpc_call *call);
/* -ERR_INVALID_ARGUMENT says what is wrong with it. */
int order_check_password(const ProtobufCBinaryData *password, struct err *err);
int order_check_id(const char *id, struct err *err);
/* Of `space`, which is gone or NULL: NOT_FOUND, or UNAVAILABLE where it may only be unknown. */
int order_not_found(const struct node *node, const struct namespace *space, const char *object,
                    struct err *err);

#endif
