#include "controlplane/audit/feed.h"

#include <pthread.h>
#include <stdlib.h>

struct audit_subscription {
    struct audit_feed *feed;
    struct audit_subscription *next;
    audit_arrived_fn *on_arrived;
    void *context;
};

/* Callbacks run under the mutex: that is what makes unsubscribe final. */
struct audit_feed {
    pthread_mutex_t mutex;
    struct audit_subscription *first;
};

struct audit_feed *audit_feed_create(void)
{
    struct audit_feed *feed = calloc(1, sizeof(*feed));
    if (feed != NULL) {
        (void)pthread_mutex_init(&feed->mutex, NULL);
    }
    return feed;
}

void audit_feed_destroy(struct audit_feed *feed)
{
    if (feed != NULL) {
        (void)pthread_mutex_destroy(&feed->mutex);
        free(feed);
    }
}

enum err audit_subscribe(struct audit_feed *feed, audit_arrived_fn *on_arrived, void *context,
                         struct audit_subscription **out)
{
    struct audit_subscription *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    *s = (struct audit_subscription){.feed = feed, .on_arrived = on_arrived, .context = context};
    (void)pthread_mutex_lock(&feed->mutex);
    s->next = feed->first;
    feed->first = s;
    (void)pthread_mutex_unlock(&feed->mutex);
    *out = s;
    return OK;
}

void audit_unsubscribe(struct audit_subscription *subscription)
{
    if (subscription == NULL) {
        return;
    }
    struct audit_feed *feed = subscription->feed;
    (void)pthread_mutex_lock(&feed->mutex);
    struct audit_subscription **at = &feed->first;
    while (*at != NULL && *at != subscription) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = subscription->next;
    }
    (void)pthread_mutex_unlock(&feed->mutex);
    free(subscription);
}

void audit_feed_publish(struct audit_feed *feed, uint64_t position)
{
    (void)pthread_mutex_lock(&feed->mutex);
    for (struct audit_subscription *s = feed->first; s != NULL; s = s->next) {
        s->on_arrived(s->context, position);
    }
    (void)pthread_mutex_unlock(&feed->mutex);
}
