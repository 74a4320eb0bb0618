/*
 * The addresses at which the node's 0-dbs can be reached: the one that they listen on, or, where
 * that is the wildcard, all of the node's that are up and neither loopback nor link-local
 * (getifaddrs(3)). Of the loop.
 */
#ifndef WORKERS_ZDBD_ADDRESSES_H
#define WORKERS_ZDBD_ADDRESSES_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

enum { ADDRESSES_MAX = 64, ADDRESSES_FRESH_MS = 1000 };

/* Zero-initialise. */
struct addresses {
    char text[ADDRESSES_MAX][INET6_ADDRSTRLEN];
    char *list[ADDRESSES_MAX]; /* of these; for repeated fields */
    size_t n;
    uint64_t read_ms; /* when */
};

/* Reads them anew when they are older than ADDRESSES_FRESH_MS. */
void addresses_refresh(struct addresses *addresses, const char *listen);

#endif
