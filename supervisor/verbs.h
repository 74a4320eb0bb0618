/* What may be asked of the supervisor, who may ask it, and what is answered. */
#ifndef SUPERVISOR_VERBS_H
#define SUPERVISOR_VERBS_H

#include "supervisor.h"

/* The request is answered by what stop_result() says, when all has stopped. */
enum { VERBS_LATER = 1 };

struct verbs_request {
    const uint8_t *packet;
    size_t length;
    uid_t uid; /* who asks */
};

/* 0, VERBS_LATER, or the negative code of `err`. */
int verbs_run(struct supervisor *supervisor, const struct verbs_request *request, struct err *err);

/* A reply with all that it points to; borrows from `err` and the wards, so pack it at once. */
struct verbs_reply {
    Storage__V1__ControlReply message;
    Storage__V1__Status status;
    Storage__V1__ErrorDetails details;
    char object[ERR_OBJECT_MAX];
    Storage__V1__WorkerListReply list;
    Storage__V1__Worker workers[SUPERVISOR_WORKERS_MAX];
    Storage__V1__Worker *rows[SUPERVISOR_WORKERS_MAX];
    struct ward_room rooms[SUPERVISOR_WORKERS_MAX];
};
void verbs_fill_reply(const struct supervisor *supervisor, const struct err *err,
                      struct verbs_reply *out_reply);

#endif
