/* Health. A thread that hangs announces nothing, and neither does a full disk or a stranger's
 * umount: this is what the beat is for. */
#include "health.h"

#include "base/clock.h"
#include "node.h"
#include "pool_books.h"

#include <stdio.h>
#include <string.h>

static const struct pool *find_sick_pool(const struct node *node)
{
    for (size_t i = 0; i < node->n_pools; i++)
        if (pool_trouble(node->pools[i]))
            return node->pools[i];
    return NULL;
}

static void describe(const struct node *node, char *out_status, size_t size)
{
    const struct pool *sick = find_sick_pool(node);
    if (!node->disks.known)
        (void)snprintf(out_status, size, "degraded: diskd has not told its disks yet");
    else if (node->n_pools == 0 && *node->boot.reason)
        (void)snprintf(out_status, size, "degraded: no pool: %s", node->boot.reason);
    else if (sick)
        (void)snprintf(out_status, size, "degraded: pool %s is %s%s%s", sick->fsid,
                       pool_trouble(sick), *sick->told_reason ? ": " : "", sick->told_reason);
    else if (*node->health.hangs)
        (void)snprintf(out_status, size, "degraded: a thread hangs: %s", node->health.hangs);
    else if (!node->cache.bound)
        (void)snprintf(out_status, size, "degraded: the cache is not mounted: %.600s",
                       *node->cache.reason ? node->cache.reason : "not yet");
    else
        (void)snprintf(out_status, size, "ok");
}

void health_review(struct health *health)
{
    char status[HEALTH_STATUS_MAX];
    if (health->node->stop.begun)
        return;
    describe(health->node, status, sizeof status);
    if (strcmp(status, health->status) == 0)
        return;
    memcpy(health->status, status, sizeof status);
    worker_status(health->node->worker, "%s", status);
}

static void say_busy(struct health *health)
{
    const struct node *node = health->node;
    const char *busy[HEALTH_BUSY_MAX + 1] = {NULL};
    size_t n = 0;
    for (size_t i = 0; i < node->n_pools; i++) {
        const struct lane *const lanes[] = {node->pools[i]->executor, node->pools[i]->reaping};
        for (size_t k = 0; k < 2 && n < HEALTH_BUSY_MAX; k++)
            if (lane_busy_ms(lanes[k]) > POOL_HUNG_MS)
                busy[n++] = lane_name(lanes[k]);
    }
    if (n == health->n_busy && memcmp(busy, health->busy, n * sizeof *busy) == 0)
        return;
    memcpy(health->busy, busy, sizeof busy);
    health->n_busy = n;
    (void)snprintf(health->hangs, sizeof health->hangs, "%s", n > 0 ? busy[0] : "");
    worker_busy(node->worker, busy);
    health_review(health);
}

static void on_beat(uv_timer_t *timer)
{
    struct health *health = timer->data;
    struct node *node = health->node;
    uint64_t now = clock_monotonic_ms();
    say_busy(health);
    if (now - health->surveyed_ms < POOL_SURVEY_MS)
        return;
    health->surveyed_ms = now;
    for (size_t i = 0; i < node->n_pools; i++)
        pool_books_refresh(node->pools[i]);
    cache_check(&node->cache);
}

void health_init(struct health *health, struct node *node)
{
    *health = (struct health){.node = node, .surveyed_ms = clock_monotonic_ms()};
    (void)uv_timer_init(node->loop, &health->beat);
    health->beat.data = health;
    (void)uv_timer_start(&health->beat, on_beat, HEALTH_BEAT_MS, HEALTH_BEAT_MS);
}
