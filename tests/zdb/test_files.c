/* More files than descriptors for them: whichever is closed meanwhile, nothing is missed. */
#include "script.h"

#include <stdlib.h>

/* Of so many descriptors a fifth is for files, and the namespaces that nobody looks at take more.
 */
enum { FILES = 120, BYSTANDERS = 11 };

static void start_crowded(void)
{
    zdb.files_most = FILES;
    server_start_with(&zdb, "--synctime", "1000", "--compact", "0");
}

static void make_bystanders(void)
{
    for (unsigned i = 0; i < BYSTANDERS; i++) {
        char request[32];
        (void)snprintf(request, sizeof request, "NSNEW a%u", i);
        ask(1, request, "+OK");
    }
}

/* Of the key of this number, a long one; SET gives it the number for its value. */
static void ask_key(const char *verb, unsigned number, const char *reply)
{
    char request[256];
    if (strcmp(verb, "SET") == 0)
        (void)snprintf(request, sizeof request, "SET key%0150u %u", number, number);
    else
        (void)snprintf(request, sizeof request, "%s key%0150u", verb, number);
    ask(1, request, reply);
}

static void rotations_and_modes_need_no_open_file(void)
{
    start_crowded();
    make_bystanders();
    ask(1, "NSNEW z", "+OK");
    ask(1, "NSSET z mode seq", "+OK");
    ask(1, "SELECT z", "+OK");
    for (unsigned i = 0; i < 40; i++) {
        ask(1, "SET '' value", "=?8");
        ask(1, "NSJUMP", "+OK");
    }
    ask(1, "NSNEW y", "+OK");
    ask(1, "SELECT y", "+OK");
    for (unsigned i = 0; i < 40; i++) {
        ask_key("SET", i, "=^key");
        ask(1, "NSJUMP", "+OK");
    }
    for (unsigned i = 0; i < 40; i++) {
        char reply[16];
        (void)snprintf(reply, sizeof reply, "=%u", i);
        ask_key("GET", i, reply);
    }
    ask(1, "SELECT z", "+OK");
    ask(1, "DBSIZE", ":40");
    ask(1, "GET %27%00%00%00%00%00%00%00", "=value");
    hangup_all();
    server_stop(&zdb);
    struct peer_ns back;
    server_read_back(&zdb, "z", &back);
    peer_ns_free(&back);
    server_read_back(&zdb, "y", &back);
    peer_ns_free(&back);
}

/* The marks of what was deleted are made again while the data with the tombstones is walked. */
static void tombstones_are_found_while_others_are_marked(void)
{
    enum { N = 4000 };
    start_crowded();
    make_bystanders();
    ask(1, "NSNEW z", "+OK");
    ask(1, "SELECT z", "+OK");
    for (unsigned i = 0; i < N; i++)
        ask_key("SET", i, "=^key");
    ask(1, "NSJUMP", "+OK");
    for (unsigned i = 0; i < N; i++)
        ask_key("DEL", i, "+OK");
    ask(1, "SET last value", "=last");
    hangup_all();
    server_kill(&zdb);
    start_crowded();
    ask(1, "SELECT z", "+OK");
    ask(1, "DBSIZE", ":1");
    ask(1, "GET last", "=value");
    ask_key("GET", N - 1, "nil");
    hangup_all();
    server_stop(&zdb);
    struct peer_ns back;
    server_read_back(&zdb, "z", &back);
    peer_ns_free(&back);
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(rotations_and_modes_need_no_open_file),
        zdb_case(tombstones_are_found_while_others_are_marked),
    };
    return zdb_main(argc, argv, "zdb_files", cases, array_length(cases));
}
