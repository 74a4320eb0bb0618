/* Who is admin: by password, by challenge, by the uid at the unix socket; and what is for admins.
 */
#include "script.h"
#include "sha1.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void admin_commands_are_for_the_admin(void)
{
    static const struct row rows[] = {
        {2, "NSNEW a", "-Permission denied"},
        {2, "NSDEL a", "-Permission denied"},
        {2, "NSSET default lock 1", "-Permission denied"},
        {2, "RELOAD default", "-Permission denied"},
        {2, "NSJUMP", "-Permission denied"},
        {2, "MIRROR", "-Permission denied"},
        {2, "MASTER", "-Permission denied"},
        {2, "HOOKS", "-Permission denied"},
        {2, "INDEX DIRTY", "-Permission denied"},
        {2, "DATA RAW 0 28", "-Permission denied"},
        {2, "SET key value 5", "-Permission denied"},
        {2, "SET key value", "=key"},
        {2, "DEL key 5", "-Permission denied"},
        {2, "DEL key", "+OK"},
        {2, "NSLIST", "*1|=default"},
        {2, "NSINFO default", "=~"},
        {2, "INFO", "=~"},
        {2, "AUTH nope", "-Access denied"},
        {2, "AUTH maste", "-Access denied"},
        {2, "AUTH masters", "-Access denied"},
        {2, "AUTH @129", "-Password too long"},
        {2, "AUTH NOPE nope", "-Only SECURE extra method supported"},
        {2, "AUTH master", "+OK"},
        {2, "NSNEW a", "+OK"},
        {3, "NSNEW b", "-Permission denied"},
    };
    server_start_with(&zdb, "--admin", "master");
    script(rows);
}

/* A session's challenge, and the answer to it. */
static void challenge(unsigned number, char answer[41], const char *password)
{
    char text[128];
    size_t size;
    ask(number, "AUTH SECURE CHALLENGE", "");
    const char *reply = (const char *)client_reply(on(number), &size);
    assert_int_equal(size, 1 + 16 + 2);
    assert_int_equal(strspn(reply + 1, "0123456789abcdef"), 16);
    (void)snprintf(text, sizeof text, "%.16s:%s", reply + 1, password);
    sha1_hex(text, strlen(text), answer);
}

static void without_a_password_there_is_nothing_to_authenticate(void)
{
    server_start(&zdb, NULL);
    ask(1, "AUTH pw", "-Authentication disabled");
    char answer[41];
    challenge(1, answer, "any");
}

static void a_challenge_is_answered_with_a_hash(void)
{
    char answer[41], request[128];
    server_start_with(&zdb, "--admin", "master");
    ask(1, "AUTH SECURE @40", "-No CHALLENGE requested, secure authentication not available");
    ask(5, "AUTH S C", "");
    size_t size;
    assert_int_equal(client_reply(on(5), &size)[0], '+'); /* prefixes, as all words */
    challenge(1, answer, "master");
    (void)snprintf(request, sizeof request, "AUTH SECURE %s", answer);
    ask(1, request, "+OK");
    ask(1, request, "-No CHALLENGE requested, secure authentication not available");
    ask(1, "NSNEW a", "+OK");
    ask(1, "NSSET a password secret", "+OK");
    ask(1, "NSSET a public 0", "+OK");

    challenge(2, answer, "wrong");
    (void)snprintf(request, sizeof request, "AUTH SECURE %s", answer);
    ask(2, request, "-Access denied");
    ask(2, request, "-No CHALLENGE requested, secure authentication not available");
    challenge(2, answer, "master");
    ask(2, "AUTH SECURE short", "-Invalid hash length");

    challenge(3, answer, "secret");
    (void)snprintf(request, sizeof request, "SELECT a SECURE %s", answer);
    ask(3, request, "+OK");
    ask(3, "SET key value", "=key");
    ask(3, request, "+OK"); /* not used up */
    ask(4, request, "-?");
    challenge(4, answer, "wrong");
    (void)snprintf(request, sizeof request, "SELECT a SECURE %s", answer);
    ask(4, request, "-Access denied");
}

static void default_is_protected_by_the_admin_password(void)
{
    static const struct row rows[] = {
        {1, "SET key value", "-Namespace is in read-only mode"},
        {1, "GET key", "nil"},
        {1, "SELECT default wrong", "-Access denied"},
        {1, "SELECT default", "+OK"},
        {1, "SET key value", "-Namespace is in read-only mode"},
        {1, "SELECT default master", "+OK"},
        {1, "SET key value", "=key"},
        {2, "GET key", "=value"},
    };
    server_start_with(&zdb, "--admin", "master", "--protect");
    script(rows);
    hangup_all();
    server_stop(&zdb);
    assert_int_not_equal(server_start_refused(&zdb, (const char *const[]){"--protect", NULL}), 0);
}

static void nobody_is_admin_over_tcp_without_a_password(void)
{
    char port[8];
    zdb.port = port_free();
    (void)snprintf(port, sizeof port, "%u", zdb.port);
    server_start_with(&zdb, "--dualnet", "--listen", "127.0.0.1", "--port", port);
    (void)on_tcp(1);
    ask(1, "PING", "+PONG");
    ask(1, "SET key value", "=key");
    ask(1, "NSNEW a", "-Permission denied");
    ask(2, "NSNEW a", "+OK"); /* the unix socket knows our uid */
    ask(2, "GET key", "=value");
}

/* Another user on the unix socket; a child asks, whose exit code says how it went. */
static void another_user_is_not_admin(void)
{
    if (geteuid() != 0)
        skip();
    server_start(&zdb, NULL);
    assert_int_equal(chmod(zdb.dir, 0711), 0);
    char root[PATH_MAX];
    (void)snprintf(root, sizeof root, "%s/..", zdb.dir);
    assert_int_equal(chmod(root, 0711), 0);
    assert_int_equal(chmod(zdb.socket, 0777), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (setegid(4711) != 0 || seteuid(4711) != 0)
            _exit(2);
        static const char expected[] = "-Permission denied\r\n";
        struct client *client = client_try_unix(zdb.socket);
        size_t size = 0;
        const struct word words[] = {word("NSNEW"), word("a")};
        const uint8_t *reply = NULL;
        if (client && client_send_words(client, words, 2))
            reply = client_reply(client, &size);
        bool denied = reply && size == strlen(expected) && memcmp(reply, expected, size) == 0;
        _exit(denied ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
    static const struct zdb_case cases[] = {
        zdb_case(admin_commands_are_for_the_admin),
        zdb_case(without_a_password_there_is_nothing_to_authenticate),
        zdb_case(a_challenge_is_answered_with_a_hash),
        zdb_case(default_is_protected_by_the_admin_password),
        zdb_case(nobody_is_admin_over_tcp_without_a_password),
        zdb_case(another_user_is_not_admin),
    };
    return zdb_main(argc, argv, "zdb_admin", cases, array_length(cases));
}
