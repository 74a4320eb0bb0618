/*
 * Stands where zdbd does: a real transport server of that name, on a thread of its own, that serves
 * both of its services without a 0-db. It keeps what it is asked, and answers with an object that
 * has the id DOUBLE_ID.
 */
#ifndef TESTS_UNIT_ZDBD_DOUBLE_H
#define TESTS_UNIT_ZDBD_DOUBLE_H

#define DOUBLE_ID "0f0e0d0c-0b0a-4908-8706-050403020100"

/* Listens when it returns. */
void double_start(const char *run_dir);
void double_stop(void);

/* What it was asked since it was asked this last: a line for each call, its method and its request
 * as JSON. Freed by the caller. */
char *double_heard(void);

#endif
