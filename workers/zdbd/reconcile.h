/*
 * Reconciling: once after each start of a 0-db, what it has (NSLIST) is compared with what is
 * booked. What is booked and missing is reported, and never made anew: it was there, and its data
 * is gone. What is there and not booked is reported, and left alone. The rest gets what it should
 * have. Of the loop.
 */
#ifndef WORKERS_ZDBD_RECONCILE_H
#define WORKERS_ZDBD_RECONCILE_H

struct pool;

/* Does nothing unless its 0-db is up, the books are known, and it was not done since. */
void reconcile_review(struct pool *pool);

#endif
