/* One handler for all methods: it needs to know their descriptors alone. */
#include "zdbd_double.h"

#include "base/cleanup.h"
#include "json.h"
#include "rpc/server.h"
#include "storage/v1/zdb.pb-c.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct {
    pthread_t thread;
    uv_loop_t loop;
    uv_async_t stop;
    struct rpc_server *server;
    uid_t uid;
    pthread_mutex_t lock; /* of what was heard */
    FILE *out;
    char *heard;
    size_t size;
} zdbd = {.lock = PTHREAD_MUTEX_INITIALIZER};

union output {
    ProtobufCMessage base;
    Storage__V1__ZDBNamespace zdb_namespace;
    Storage__V1__NamespaceReleaseReply release;
    Storage__V1__NamespaceListReply namespaces;
    Storage__V1__NamespaceUsage usage;
    Storage__V1__ZDBInstance instance;
    Storage__V1__ZDBListReply instances;
    Storage__V1__ZDBImportReply import;
};

static void keep(const ProtobufCMethodDescriptor *method, const ProtobufCMessage *input)
{
    struct json json = {.out = zdbd.out, .lines = true};
    (void)pthread_mutex_lock(&zdbd.lock);
    (void)fprintf(zdbd.out, "%s ", method->name);
    json_message(&json, NULL, input);
    (void)pthread_mutex_unlock(&zdbd.lock);
}

static void invoke(ProtobufCService *service, unsigned index, const ProtobufCMessage *input,
                   ProtobufCClosure closure, void *closure_data)
{
    const ProtobufCMethodDescriptor *method = &service->descriptor->methods[index];
    union output output;
    assert_true(method->output->sizeof_message <= sizeof output);
    keep(method, input);
    protobuf_c_message_init(method->output, &output);
    if (method->output == &storage__v1__zdbnamespace__descriptor)
        output.zdb_namespace.id = (char *)(uintptr_t)DOUBLE_ID;
    if (method->output == &storage__v1__zdbinstance__descriptor)
        output.instance.pool = (char *)(uintptr_t)DOUBLE_ID;
    closure(&output.base, closure_data);
}

static ProtobufCService services[] = {
    {.descriptor = &storage__v1__namespace_service__descriptor, .invoke = invoke},
    {.descriptor = &storage__v1__zdbservice__descriptor, .invoke = invoke},
};

static void on_stop(uv_async_t *async)
{
    uv_close((uv_handle_t *)async, NULL);
    rpc_server_close(zdbd.server, NULL, NULL);
}

static void *run(void *data)
{
    (void)data;
    (void)uv_run(&zdbd.loop, UV_RUN_DEFAULT);
    return NULL;
}

void double_start(const char *run_dir)
{
    static const char *const reads[][4] = {{"Get", "List", "Usage", NULL}, {"Get", "List", NULL}};
    autofree char *url = NULL;
    assert_true(asprintf(&url, "ipc://%s/zdbd.sock", run_dir) > 0);
    zdbd.uid = getuid();
    struct rpc_server_options options = {
        .loop = &zdbd.loop, .url = url, .epoch = 1, .admins = &zdbd.uid, .n_admins = 1};
    zdbd.out = open_memstream(&zdbd.heard, &zdbd.size);
    assert_non_null(zdbd.out);
    assert_int_equal(uv_loop_init(&zdbd.loop), 0);
    assert_int_equal(uv_async_init(&zdbd.loop, &zdbd.stop, on_stop), 0);
    assert_int_equal(rpc_server_open(&options, &zdbd.server, NULL), 0);
    for (size_t i = 0; i < array_length(services); i++)
        assert_int_equal(rpc_server_add(zdbd.server, &services[i], reads[i], NULL), 0);
    assert_int_equal(rpc_server_listen(zdbd.server, NULL), 0);
    assert_int_equal(pthread_create(&zdbd.thread, NULL, run, NULL), 0);
}

void double_stop(void)
{
    (void)uv_async_send(&zdbd.stop);
    (void)pthread_join(zdbd.thread, NULL);
    assert_int_equal(uv_loop_close(&zdbd.loop), 0);
    (void)fclose(zdbd.out);
    free(zdbd.heard);
}

char *double_heard(void)
{
    (void)pthread_mutex_lock(&zdbd.lock);
    (void)fflush(zdbd.out);
    char *copy = strndup(zdbd.heard, zdbd.size);
    rewind(zdbd.out);
    (void)pthread_mutex_unlock(&zdbd.lock);
    assert_non_null(copy);
    return copy;
}
