/* The table of nng's error numbers that have an errno of the same meaning. */
#include "rpc/nngerr.h"

#include "base/cleanup.h"

#include <errno.h>
#include <nng/nng.h>

static int errno_of(int rv)
{
    static const struct {
        int rv, os_errno;
    } table[] = {
        {NNG_ENOMEM, ENOMEM},
        {NNG_EINVAL, EINVAL},
        {NNG_EBUSY, EBUSY},
        {NNG_ETIMEDOUT, ETIMEDOUT},
        {NNG_ECONNREFUSED, ECONNREFUSED},
        {NNG_ECLOSED, EPIPE},
        {NNG_EAGAIN, EAGAIN},
        {NNG_ENOTSUP, EOPNOTSUPP},
        {NNG_EADDRINUSE, EADDRINUSE},
        {NNG_ENOENT, ENOENT},
        {NNG_EPERM, EPERM},
        {NNG_EMSGSIZE, EMSGSIZE},
        {NNG_ECONNABORTED, ECONNABORTED},
        {NNG_ECONNRESET, ECONNRESET},
        {NNG_ECANCELED, ECANCELED},
        {NNG_ENOFILES, EMFILE},
        {NNG_ENOSPC, ENOSPC},
        {NNG_EADDRINVAL, EINVAL},
    };
    if (rv & NNG_ESYSERR)
        return rv & ~NNG_ESYSERR;
    for (size_t i = 0; i < array_length(table); i++)
        if (table[i].rv == rv)
            return table[i].os_errno;
    return EIO;
}

int nngerr_set(struct err *err, int rv, const char *object, const char *what)
{
    return err_errno(err, errno_of(rv), object, "%s (%s)", what, nng_strerror(rv));
}
