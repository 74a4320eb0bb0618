/* Stands where ward.c, stop.c and storaged.c do in the supervisor, see the header. */
#include "verbs_fixture.h"

#include "base/error.h"
#include "stop.h"

#include <string.h>

struct verbs_asked verbs_asked;

struct supervisor verbs_fixture_make(void)
{
    static uid_t admins[] = {VERBS_ADMIN};
    static const struct settings settings = {.admin_uids = admins, .n_admin_uids = 1};
    verbs_asked = (struct verbs_asked){0};
    return (struct supervisor){
        .settings = &settings,
        .wards = {{.name = "diskd"}, {.name = "poold", .shutdown = true}},
        .n_wards = 2,
    };
}

struct ward *supervisor_find(struct supervisor *supervisor, const char *name)
{
    for (size_t i = 0; i < supervisor->n_wards; i++)
        if (strcmp(supervisor->wards[i].name, name) == 0)
            return &supervisor->wards[i];
    return NULL;
}

static int count(unsigned *counter, const struct ward *ward, struct err *err)
{
    ++*counter;
    if (!ward->shutdown)
        return 0;
    return err_set(err, ERR_FAILED_PRECONDITION, 0, ward->name, "it is being stopped");
}

int ward_restart(struct ward *ward, struct err *err)
{
    return count(&verbs_asked.restarts, ward, err);
}

int ward_reset(struct ward *ward, struct err *err)
{
    return count(&verbs_asked.resets, ward, err);
}

void ward_describe(const struct ward *ward, struct ward_room *room, Storage__V1__Worker *out_worker)
{
    (void)room;
    storage__v1__worker__init(out_worker);
    out_worker->name = (char *)(uintptr_t)ward->name;
    out_worker->state = STORAGE__V1__WORKER_STATE__WORKER_STATE_READY;
}

void stop_begin(struct supervisor *supervisor, bool shutdown)
{
    (void)supervisor;
    verbs_asked.shutdowns += shutdown;
}
