/* Addresses: read when somebody asks, and not again for a second. */
#include "addresses.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void add(struct addresses *addresses, const char *text)
{
    for (size_t i = 0; i < addresses->n; i++)
        if (strcmp(addresses->text[i], text) == 0)
            return;
    if (addresses->n == ADDRESSES_MAX)
        return;
    char *to = addresses->text[addresses->n];
    (void)snprintf(to, INET6_ADDRSTRLEN, "%s", text);
    addresses->list[addresses->n++] = to;
}

static void add_interface(struct addresses *addresses, const struct sockaddr *address, bool ipv6)
{
    char text[INET6_ADDRSTRLEN];
    if (address->sa_family == AF_INET) {
        const struct in_addr *ipv4 = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
        if (inet_ntop(AF_INET, ipv4, text, sizeof text))
            add(addresses, text);
    } else if (address->sa_family == AF_INET6 && ipv6) {
        const struct in6_addr *at =
            &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        if (!IN6_IS_ADDR_LINKLOCAL(at) && inet_ntop(AF_INET6, at, text, sizeof text))
            add(addresses, text);
    }
}

void addresses_refresh(struct addresses *addresses, const char *listen)
{
    uint64_t now = clock_monotonic_ms();
    if (addresses->n > 0 && now - addresses->read_ms < ADDRESSES_FRESH_MS)
        return;
    addresses->read_ms = now;
    addresses->n = 0;
    bool any_ipv6 = strcmp(listen, "::") == 0;
    bool any = any_ipv6 || strcmp(listen, "0.0.0.0") == 0;
    struct ifaddrs *all = NULL;
    if (any && getifaddrs(&all) == 0)
        for (const struct ifaddrs *at = all; at; at = at->ifa_next)
            if (at->ifa_addr && (at->ifa_flags & IFF_UP) && !(at->ifa_flags & IFF_LOOPBACK))
                add_interface(addresses, at->ifa_addr, any_ipv6);
    if (all)
        freeifaddrs(all);
    /* A node without a network has itself. */
    if (addresses->n == 0)
        add(addresses, !any ? listen : any_ipv6 ? "::1" : "127.0.0.1");
}
