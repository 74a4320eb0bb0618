/* Why a worker does not answer, in words: one sentence per state, from one table. */
#include "handle.h"

#include "base/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { RETRY_SOON_MS = 250, SENTENCE_MAX = 400 };

static const struct state {
    const char *is;
    const char *hint;      /* NULL: that of the failed call */
    bool serves;           /* the worker is there: the failed call's code stands */
    bool retryable;        /* comes back without anybody's help */
    bool ends_with_reason; /* how it ended, and when it starts again, belong to the sentence */
} states[] = {
    [STORAGE__V1__WORKER_STATE__WORKER_STATE_UNSPECIFIED] = {"is in an unknown state", NULL, true,
                                                             true, false},
    [STORAGE__V1__WORKER_STATE__WORKER_STATE_STARTING] = {"is starting", "try again", false, true,
                                                          false},
    [STORAGE__V1__WORKER_STATE__WORKER_STATE_READY] = {"is ready, but gave no answer", NULL, true,
                                                       true, false},
    [STORAGE__V1__WORKER_STATE__WORKER_STATE_BACKOFF] = {"has failed", "try again", false, true,
                                                         true},
    [STORAGE__V1__WORKER_STATE__WORKER_STATE_FAILING] = {"is failing",
                                                         "`storagectl worker reset` starts it now",
                                                         false, true, true},
    [STORAGE__V1__WORKER_STATE__WORKER_STATE_CONFIG] =
        {"refuses its configuration",
         "mend it (`storaged --check`): the worker starts when it changes", false, false, true},
    [STORAGE__V1__WORKER_STATE__WORKER_STATE_STOPPING] = {"is stopping", "try again", false, true,
                                                          false},
    [STORAGE__V1__WORKER_STATE__WORKER_STATE_STOPPED] = {"is stopped", "start storaged again",
                                                         false, false, false},
    [STORAGE__V1__WORKER_STATE__WORKER_STATE_HUNG] = {"hangs, and is being ended", "try again",
                                                      false, true, false},
};

static const struct state *find_state(Storage__V1__WorkerState state)
{
    return (size_t)state < array_length(states) ? &states[state] : &states[0];
}

static void append(char *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void append(char *text, const char *fmt, ...)
{
    size_t used = strlen(text);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text + used, SENTENCE_MAX - used, fmt, ap);
    va_end(ap);
}

/* "poold is failing: exit 1; next start in 12 s" */
static void make_sentence(const Storage__V1__Worker *worker, const struct state *state, char *text)
{
    (void)snprintf(text, SENTENCE_MAX, "%s %s", worker->name, state->is);
    if (!state->ends_with_reason)
        return;
    if (*worker->exit_reason)
        append(text, ": %.100s", worker->exit_reason);
    if (worker->next_start_ms >= 1000)
        append(text, "; next start in %u s", (worker->next_start_ms + 500) / 1000);
    else if (worker->next_start_ms > 0)
        append(text, "; next start in %u ms", worker->next_start_ms);
    if (worker->n_last_log > 0)
        append(text, "; its last words: %.200s", worker->last_log[worker->n_last_log - 1]);
}

void state_describe(const Storage__V1__Worker *worker, struct err *err)
{
    const struct state *state = find_state(worker->state);
    char sentence[SENTENCE_MAX], hint[ERR_HINT_MAX];
    make_sentence(worker, state, sentence);
    bool late = err->code == ERR_DEADLINE_EXCEEDED;
    /* After a deadline, how to learn what became of the call matters more. */
    (void)snprintf(hint, sizeof hint, "%s", state->hint && !late ? state->hint : err->hint);
    enum err_code code = state->serves ? err->code : ERR_UNAVAILABLE;
    uint32_t after_ms = worker->next_start_ms ? worker->next_start_ms : err->retry_after_ms;

    (void)err_set(err, code, err->os_errno, worker->name, "%s (%s)", sentence, err->message);
    err_hint(err, "%s", hint);
    if (state->retryable)
        err_retryable(err, after_ms ? after_ms : RETRY_SOON_MS);
}

static const Storage__V1__Worker *find_worker(const Storage__V1__ControlReply *reply,
                                              const char *name)
{
    for (size_t i = 0; reply->list && i < reply->list->n_workers; i++)
        if (strcmp(reply->list->workers[i]->name, name) == 0)
            return reply->list->workers[i];
    return NULL;
}

void state_explain(const char *run_dir, const char *worker, struct err *err)
{
    Storage__V1__WorkerListRequest list = STORAGE__V1__WORKER_LIST_REQUEST__INIT;
    Storage__V1__ControlRequest request = STORAGE__V1__CONTROL_REQUEST__INIT;
    request.verb_case = STORAGE__V1__CONTROL_REQUEST__VERB_LIST;
    request.list = &list;
    Storage__V1__ControlReply *reply = NULL;
    autoerr struct err why = {0};
    int rc = control_ask(run_dir, &request, CONTROL_STATE_MS, &reply, &why);
    if (rc == -ERR_UNAVAILABLE) {
        err_move(err, &why);
    } else if (rc == 0) {
        const Storage__V1__Worker *found = find_worker(reply, worker);
        if (found) {
            state_describe(found, err);
        } else {
            (void)err_set(err, ERR_UNAVAILABLE, 0, worker, "storaged runs no %s here", worker);
            err_hint(err, "its config names the workers: [supervisor] workers");
        }
    }
    storage_free(reply);
}
