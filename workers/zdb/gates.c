/* Gates that are shut before anybody is heard. */
#include "gates.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

static int shut(const struct realm *realm, const char *line, struct err *err)
{
    static const struct {
        const char *word;
        size_t length;
        enum ns_gate gate;
    } gates[] = {{"lock ", 5, NS_LOCKED}, {"freeze ", 7, NS_FROZEN}};
    for (size_t i = 0; i < array_length(gates); i++) {
        if (strncmp(line, gates[i].word, gates[i].length) != 0)
            continue;
        const char *name = line + gates[i].length;
        struct ns *ns = realm_find(realm, name, strlen(name));
        if (ns)
            ns->gate = gates[i].gate;
        else
            log_warning("there is no such namespace to shut", "namespace", name);
        return 0;
    }
    return err_set(err, ERR_INVALID_ARGUMENT, 0, "--gates",
                   "\"%s\" is neither \"lock NAME\" nor \"freeze NAME\"", line);
}

int gates_open(const char *path, FILE **out_file, struct err *err)
{
    *out_file = fopen(path, "re");
    return *out_file ? 0 : err_errno(err, errno, path, "cannot open the list of gates");
}

int gates_shut(FILE *file, const struct realm *realm, struct err *err)
{
    autofree char *line = NULL;
    size_t room = 0;
    int rc = 0;
    while (rc == 0 && getline(&line, &room, file) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        rc = shut(realm, line, err);
    }
    if (rc == 0 && ferror(file))
        return err_errno(err, errno, "--gates", "cannot read the list of gates");
    return rc;
}
