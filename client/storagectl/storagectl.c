/*
 * storagectl: the node's storage at a shell. One file per noun, each a table of verbs; this one
 * only goes from the command line to the verb, and from its error to the exit code.
 */
#include "command.h"

#include "base/cleanup.h"

#include <errno.h>
#include <locale.h>
#include <string.h>

static int run(struct session *session, struct err *err)
{
    if (session->version) {
        (void)fprintf(session->out, "storagectl " STORAGED_VERSION "\n");
        return 0;
    }
    if (session->help) {
        help_print(session->command, session->out);
        return 0;
    }
    int rc = session->verb->run(session, err);
    if (rc == 0 && fflush(session->out) != 0)
        rc = err_errno(err, errno, "stdout", "cannot print");
    return rc;
}

int main(int argc, char **argv)
{
    autoerr struct err err = {0};
    struct session session = {.out = stdout};
    (void)setlocale(LC_CTYPE, "");

    int rc = session_parse(&session, argc, argv, &err);
    if (rc == 0)
        rc = run(&session, &err);
    session_close(&session);
    if (rc < 0)
        report_error(&session, &err);
    return report_exit_code((enum err_code) - rc);
}
