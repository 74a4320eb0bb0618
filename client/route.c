/* Which worker serves which service: one table. */
#include "handle.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const ProtobufCServiceDescriptor *service;
    const char *worker; /* NULL: each; the caller says which */
} services[] = {
    {&storage__v1__disk_service__descriptor, "diskd"},
    {&storage__v1__pool_service__descriptor, "poold"},
    {&storage__v1__space_service__descriptor, "poold"},
    {&storage__v1__booking_service__descriptor, "poold"},
    {&storage__v1__namespace_service__descriptor, "zdbd"},
    {&storage__v1__zdbservice__descriptor, "zdbd"},
    {&storage__v1__event_log__descriptor, NULL},
};

const char *const route_workers[] = {"diskd", "poold", "zdbd", NULL};

static int refuse(const char *method, struct err *err)
{
    int rc = err_set(err, ERR_UNIMPLEMENTED, 0, method, "there is no method %s", method);
    err_hint(err, "methods are named as in storage.v1.SpaceService/Reserve");
    return rc;
}

/* "<service>/<method>" in text[0..length). */
static int find_method(const char *text, size_t length, struct route *route,
                       const char **out_worker)
{
    const char *slash = memchr(text, '/', length);
    if (!slash)
        return -ERR_UNIMPLEMENTED;
    size_t service_length = (size_t)(slash - text);
    char name[64];
    size_t name_length = length - service_length - 1;
    if (name_length >= sizeof name)
        return -ERR_UNIMPLEMENTED;
    memcpy(name, slash + 1, name_length);
    name[name_length] = '\0';
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        const ProtobufCServiceDescriptor *service = services[i].service;
        if (strlen(service->name) != service_length ||
            strncmp(service->name, text, service_length) != 0)
            continue;
        route->service = service;
        route->method = protobuf_c_service_descriptor_get_method_by_name(service, name);
        *out_worker = services[i].worker;
        return route->method ? 0 : -ERR_UNIMPLEMENTED;
    }
    return -ERR_UNIMPLEMENTED;
}

int route_find(const char *method, struct route *out_route, struct err *err)
{
    struct route route = {0};
    const char *worker = NULL, *at = strchrnul(method, '@');
    if (find_method(method, (size_t)(at - method), &route, &worker) < 0)
        return refuse(method, err);
    if (*at)
        worker = at + 1;
    if (!worker)
        return err_set(err, ERR_INVALID_ARGUMENT, 0, method,
                       "every worker serves %s: name one, as in %s@poold", method, method);
    if (!*worker || strlen(worker) >= sizeof route.worker || strchr(worker, '/'))
        return err_set(err, ERR_INVALID_ARGUMENT, 0, method, "\"%s\" is no name of a worker",
                       worker);
    (void)snprintf(route.worker, sizeof route.worker, "%s", worker);
    *out_route = route;
    return 0;
}
