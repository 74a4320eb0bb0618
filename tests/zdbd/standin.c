/*
 * A 0-db that misbehaves as told. It takes the flags of one and answers its socket, one connection
 * at a time, as a small 0-db would, but for what the file `script` in its home says, which is read
 * again at each command. The home is descriptor 0. Each command's name goes to `commands` there.
 *
 * A line of the script: a command's name, an action, and what that needs. The first line that fits
 * a command is carried out. Behind the name, "!" spares what is said of the canary's namespace,
 * "+" what is said of one that is not there, and ":PROPERTY" means the NSSET of that alone.
 *
 *   NAME hang              answers nothing from here on
 *   NAME close             closes the connection
 *   NAME end CODE          exits
 *   NAME say TEXT          answers with this, \r\n behind it
 *   NAME text LINE;LINE    answers with a bulk of these lines
 *   NAME lie               answers as if the namespace had another limit (NSINFO)
 *   start end CODE         before it has a socket
 *   start silent           it never has one
 *   start deaf             listens, accepts nobody
 *   start stubborn         ignores SIGTERM
 */
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define CANARY "storaged-canary"

enum {
    LINE_MAX_BYTES = 512,
    WORDS_MAX = 8,
    WORD_MAX = 64 * 1024,
    LAST_WISH = 30,
    SPACES_MAX = 16,
    NAME_MAX_BYTES = 64,
    NUMBER_MAX = 24,
};

static char stored[WORD_MAX], words[WORDS_MAX][WORD_MAX];

/* What it was told of namespaces; forgotten at its end. */
static struct space {
    char name[NAME_MAX_BYTES];
    char limit[NUMBER_MAX];
    bool password, public, sequential;
} spaces[SPACES_MAX];
static unsigned n_spaces;

static struct space *find_space(const char *name)
{
    for (unsigned i = 0; i < n_spaces; i++)
        if (strcmp(spaces[i].name, name) == 0)
            return &spaces[i];
    return NULL;
}

/* --- the script ------------------------------------------------------------------------------ */

struct rule {
    char action[16];
    char rest[LINE_MAX_BYTES];
};

/* The command that `when` names is the one at hand. */
static bool is_meant(const char *when, const char *name)
{
    size_t length = strlen(name);
    if (strncmp(when, name, length) != 0)
        return false;
    if (when[length] == '!')
        return strcmp(words[1], CANARY) != 0;
    if (when[length] == '+')
        return find_space(words[1]);
    return when[length] == '\0' ||
           (when[length] == ':' && strcmp(when + length + 1, words[2]) == 0);
}

static bool find_rule(const char *name, const char *only, struct rule *out)
{
    char line[LINE_MAX_BYTES], when[32];
    int fd = openat(STDIN_FILENO, "script", O_RDONLY | O_CLOEXEC), at = 0;
    FILE *script = fd < 0 ? NULL : fdopen(fd, "r");
    bool found = false;
    while (!found && script && fgets(line, sizeof line, script)) {
        line[strcspn(line, "\n")] = '\0';
        found = sscanf(line, "%31s %15s %n", when, out->action, &at) == 2 && is_meant(when, name) &&
                (!only || strcmp(out->action, only) == 0);
        (void)snprintf(out->rest, sizeof out->rest, "%s", found ? line + at : "");
    }
    if (script)
        (void)fclose(script);
    return found;
}

static bool is_told(const char *name, const char *action)
{
    struct rule rule;
    return find_rule(name, action, &rule);
}

static void note(const char *name)
{
    int fd = openat(STDIN_FILENO, "commands", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    (void)dprintf(fd, "%s\n", name);
    (void)close(fd);
}

_Noreturn static void hang(void)
{
    for (;;)
        (void)pause();
}

/* --- commands -------------------------------------------------------------------------------- */

static void say(int fd, const char *text)
{
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void say_bulk(int fd, const char *text)
{
    (void)dprintf(fd, "$%zu\r\n%s\r\n", strlen(text), text);
}

static void say_lines(int fd, char *lines)
{
    for (char *at = lines; *at; at++)
        if (*at == ';')
            *at = '\n';
    say_bulk(fd, lines);
}

/* ---- namespaces ---- */

static void list_spaces(int fd)
{
    (void)dprintf(fd, "*%u\r\n", n_spaces + 1);
    say_bulk(fd, "default");
    for (unsigned i = 0; i < n_spaces; i++)
        say_bulk(fd, spaces[i].name);
}

static void make_space(int fd)
{
    if (find_space(words[1]) || n_spaces == SPACES_MAX) {
        say(fd, "-This namespace is not available\r\n");
        return;
    }
    struct space *space = &spaces[n_spaces++];
    *space = (struct space){.limit = "0"};
    (void)snprintf(space->name, sizeof space->name, "%s", words[1]);
    say(fd, "+OK\r\n");
}

static void delete_space(int fd, struct space *space)
{
    *space = spaces[--n_spaces];
    say(fd, "+OK\r\n");
}

static void set_space(int fd, struct space *space)
{
    bool is_one = strcmp(words[3], "1") == 0;
    if (strcmp(words[2], "maxsize") == 0)
        (void)snprintf(space->limit, sizeof space->limit, "%s", words[3]);
    else if (strcmp(words[2], "password") == 0)
        space->password = true;
    else if (strcmp(words[2], "public") == 0)
        space->public = is_one;
    else if (strcmp(words[2], "mode") == 0)
        space->sequential = strcmp(words[3], "seq") == 0;
    say(fd, "+OK\r\n");
}

static void describe_space(int fd, const struct space *space, bool lie)
{
    char text[LINE_MAX_BYTES];
    (void)snprintf(text, sizeof text,
                   "# namespace\nname: %s\nentries: 0\npublic: %s\npassword: %s\n"
                   "data_size_bytes: 0\ndata_limits_bytes: %s%s\nindex_size_bytes: 0\n"
                   "mode: %s\nlocked: no\n",
                   space->name, space->public ? "yes" : "no", space->password ? "yes" : "no",
                   space->limit, lie ? "0" : "", space->sequential ? "sequential" : "userkey");
    say_bulk(fd, text);
}

/* False for what is said of no namespace that is there. */
static bool answer_space(int fd, int n)
{
    const char *name = words[0];
    struct space *space = n > 1 ? find_space(words[1]) : NULL;
    if (strcmp(name, "NSLIST") == 0)
        list_spaces(fd);
    else if (strcmp(name, "NSNEW") == 0)
        make_space(fd);
    else if (space && strcmp(name, "NSDEL") == 0)
        delete_space(fd, space);
    else if (space && strcmp(name, "NSSET") == 0)
        set_space(fd, space);
    else if (space && strcmp(name, "NSINFO") == 0)
        describe_space(fd, space, false);
    else
        return false;
    return true;
}

/* ---- the others ---- */

static void answer(int fd, int n)
{
    const char *name = words[0];
    if (answer_space(fd, n))
        return;
    if (strcmp(name, "SET") == 0 && n == 3) {
        (void)snprintf(stored, sizeof stored, "%s", words[2]);
        say_bulk(fd, words[1]);
    } else if (strcmp(name, "GET") == 0) {
        say_bulk(fd, stored);
    } else if (strcmp(name, "CHECK") == 0) {
        say(fd, ":1\r\n");
    } else if (strcmp(name, "PING") == 0) {
        say(fd, "+PONG\r\n");
    } else if (strcmp(name, "INFO") == 0 || strcmp(name, "NSINFO") == 0) {
        say_bulk(fd, "# nothing\n");
    } else {
        say(fd, "+OK\r\n");
    }
}

/* False when the connection is to be closed. */
static bool serve(int fd, int n)
{
    struct rule rule;
    note(words[0]);
    if (!find_rule(words[0], NULL, &rule))
        answer(fd, n);
    else if (strcmp(rule.action, "hang") == 0)
        hang();
    else if (strcmp(rule.action, "close") == 0)
        return false;
    else if (strcmp(rule.action, "end") == 0)
        _exit(atoi(rule.rest));
    else if (strcmp(rule.action, "text") == 0)
        say_lines(fd, rule.rest);
    else if (strcmp(rule.action, "lie") == 0 && find_space(words[1]))
        describe_space(fd, find_space(words[1]), true);
    else
        say(fd, strcat(rule.rest, "\r\n"));
    return true;
}

static int read_number(FILE *in, char prefix)
{
    char line[32];
    return fgets(line, sizeof line, in) && line[0] == prefix ? atoi(line + 1) : -1;
}

static bool read_word(FILE *in, char out[WORD_MAX])
{
    int length = read_number(in, '$');
    if (length < 0 || length + 2 >= WORD_MAX ||
        fread(out, 1, (size_t)length + 2, in) != (size_t)length + 2)
        return false;
    out[length] = '\0';
    return true;
}

static void converse(int fd)
{
    FILE *in = fdopen(dup(fd), "r");
    bool goes_on = in;
    while (goes_on) {
        int n = read_number(in, '*');
        goes_on = n > 0 && n <= WORDS_MAX;
        for (int i = 0; goes_on && i < n; i++)
            goes_on = read_word(in, words[i]);
        goes_on = goes_on && serve(fd, n);
    }
    if (in)
        (void)fclose(in);
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct rule rule;
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--socket") == 0)
            (void)snprintf(address.sun_path, sizeof address.sun_path, "%.100s", argv[i + 1]);
    note("start");
    if (find_rule("start", "end", &rule))
        return atoi(rule.rest);
    if (is_told("start", "stubborn"))
        (void)signal(SIGTERM, SIG_IGN);
    if (is_told("start", "silent"))
        hang();
    (void)unlink(address.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, 1) < 0)
        return LAST_WISH;
    if (is_told("start", "deaf"))
        hang();
    /* cppcheck-suppress nullPointer ; accept(2) allows it */
    for (int peer; (peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0; (void)close(peer))
        converse(peer);
    return LAST_WISH;
}
