/* nng's error numbers as error values. */
#ifndef LIB_RPC_NNGERR_H
#define LIB_RPC_NNGERR_H

#include "base/error.h"

/* As err_errno(), for what nng's functions return: positive, its own numbers. */
int nngerr_set(struct err *err, int rv, const char *object, const char *what);

#endif
