/* A client that writes and reads back without an end, in a thread of its own. */
#ifndef TESTS_ZDBD_BUSY_H
#define TESTS_ZDBD_BUSY_H

#include "storage/v1/zdb.pb-c.h"

struct busy;

/* Inside the namespace, under the password. */
struct busy *busy_start(const Storage__V1__ZDBNamespace *space, const char *password);
/* How often it has written and read. */
unsigned long busy_count(const struct busy *busy);
/* Ends and frees it; fails the test if a command of its failed, or if it did nothing. */
void busy_end(struct busy *busy);

#endif
