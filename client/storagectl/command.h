/*
 * A command is a noun: one file, one const table of verbs. What the user typed, and what every verb
 * needs (the handle, tables, JSON), is the session.
 */
#ifndef STORAGECTL_COMMAND_H
#define STORAGECTL_COMMAND_H

#include "json.h"
#include "storage.h"
#include "table.h"

enum { COMMAND_ARGS_MAX = 256, COMMAND_FLAGS_MAX = 64 };

struct session;

struct flag {
    const char *name;  /* without the dashes */
    const char *value; /* what it takes, for the help; NULL: nothing */
    const char *help;
};

struct verb {
    const char *name; /* NULL: the noun alone */
    const char *args; /* for the help: "DISK..." */
    unsigned min_args, max_args;
    const struct flag *flags; /* ends at a NULL name; may be NULL */
    const char *help;
    bool impatient; /* waits for no worker that is down, and for no call for long */
    int (*run)(struct session *session, struct err *err);
};

/* What a service reserves, gets by id or name, releases and lists: see named.c. */
struct named {
    const ProtobufCServiceDescriptor *service;
    const char *key; /* of the list, in its reply and as JSON */
    const struct column *columns;
};

struct command {
    const char *noun;
    const char *help;
    const struct verb *verbs;  /* ends at a NULL `run` */
    const struct named *named; /* for the verbs of named.c; else NULL */
};

extern const struct command command_booking, command_capacity, command_cache, command_disk,
    command_events, command_namespace, command_pool, command_ready, command_shutdown, command_space,
    command_status, command_worker, command_zdb;
/* NULL-terminated. */
extern const struct command *const commands[];

struct given_flag {
    const struct flag *flag;
    const char *value;
};

struct session {
    const struct command *command;
    const struct verb *verb;
    const char *args[COMMAND_ARGS_MAX];
    unsigned n_args;
    struct given_flag flags[COMMAND_FLAGS_MAX];
    unsigned n_flags;
    bool help, version, json;
    bool timeout_given;
    uint32_t timeout_ms;
    const char *run_dir;    /* NULL: the library's choice */
    const char *request_id; /* NULL: a random one */
    FILE *out;
    struct storage *storage; /* opened at the first use */
};

/* --- arguments.c --- */

/* Reads argv into the session, which was zeroed. INVALID_ARGUMENT says what is wrong with it. */
int session_parse(struct session *session, int argc, char **argv, struct err *err);
extern const struct flag global_flags[];

/* The value of a flag of the verb, "" for one that takes none; NULL if it was not given. The last
 * one counts. */
const char *session_flag(const struct session *session, const char *name);
/* Quantities in flags; `out` is left alone when the flag was not given. */
int session_flag_size(const struct session *session, const char *name, uint64_t *out_bytes,
                      struct err *err);
int session_flag_ms(const struct session *session, const char *name, uint32_t *out_ms,
                    struct err *err);
/* `base` is 10 or 8. */
int session_flag_u32(const struct session *session, const char *name, int base, uint32_t *out_value,
                     struct err *err);
/* Refuses a verb that destroys, unless --yes was given. */
int session_check_yes(const struct session *session, struct err *err);
int session_parse_type(const char *text, Storage__V1__DiskType *out_type, struct err *err);

/* --- help.c --- */

void help_print(const struct command *command, FILE *out);

/* --- named.c: verbs of a command that has `named` --- */

int named_get(struct session *session, struct err *err);
int named_release(struct session *session, struct err *err);
extern const struct flag named_list_flags[];
int named_list(struct session *session, struct err *err);
/* The id of the one that the first argument names, borrowed from it or from `*out_found`, which is
 * NULL when nobody had to be asked. */
int named_find_id(struct session *session, ProtobufCMessage **out_found, char **out_id,
                  struct err *err);

/* --- password.c --- */

enum { PASSWORD_MAX_BYTES = 63 };

struct password {
    uint8_t bytes[PASSWORD_MAX_BYTES + 1];
    size_t length;
};
#define autopassword __attribute__((cleanup(password_clear)))
void password_clear(struct password *password);

/* The first line of what --password-file names, without its newline; "-" is stdin. Fails without
 * the flag, and for an empty line. To be cleared in any case. */
int session_read_password(const struct session *session, struct password *out_password,
                          struct err *err);

/* --- report.c --- */

/* 0..8, see help.c. */
int report_exit_code(enum err_code code);
/* On stderr for people; with --json as an object on stdout too. */
void report_error(const struct session *session, const struct err *err);

/* --- session.c --- */

int session_open(struct session *session, struct err *err);
void session_close(struct session *session);

/* A read, and a change, which carries the request id. */
int session_call(struct session *session, const char *method, const void *input, void *out_reply,
                 struct err *err);
int session_change(struct session *session, const char *method, const void *input, void *out_reply,
                   struct err *err);

/* The elements of a list reply, of all pages. */
struct rows {
    const ProtobufCMessage **rows; /* borrowed from the replies */
    size_t n;
    ProtobufCMessage **replies;
    size_t n_replies;
};
#define autorows __attribute__((cleanup(rows_free)))
void rows_free(struct rows *rows);

/* `request` has a field page_token, and the reply next_page_token and the repeated field `key`. */
int session_list(struct session *session, const char *method, ProtobufCMessage *request,
                 const char *key, struct rows *out_rows, struct err *err);

/* {"disks": [...]}, or the table. */
int session_print_rows(const struct session *session, const char *key, const struct column *columns,
                       const ProtobufCMessage *const *rows, size_t n, struct err *err);
/* The object itself, or a line per field. */
int session_print_object(const struct session *session, const ProtobufCMessage *message,
                         struct err *err);
/* The workers, as the supervisor has them. */
int session_workers(struct session *session, Storage__V1__ControlReply **out_reply,
                    struct err *err);

extern const struct column disk_columns[], pool_columns[], capacity_columns[], worker_columns[],
    namespace_columns[], zdb_columns[];
/* The capacity of one disk type. */
int capacity_ask(struct session *session, Storage__V1__DiskType type,
                 Storage__V1__CapacityReply **out_reply, struct err *err);

static inline void cleanup_reply(void *reply)
{
    storage_free(*(void **)reply);
}
#define autoreply __attribute__((cleanup(cleanup_reply)))

#endif
