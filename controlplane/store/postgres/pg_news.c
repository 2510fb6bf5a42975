/* What other control planes did: LISTEN on a connection and a thread of its own. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "controlplane/store/postgres/pg_store.h"

enum { RETRY_MS = 200, RETRY_MAX_MS = 5000 };

struct postgres_listener {
    struct postgres_store *store;
    store_news_fn *on_news;
    void *context;
    pthread_t thread;
    int wake[2];  /* a byte in it: end */
    struct pg db; /* the thread's, once it runs */
};

/* "INSTANCE BITS". What is not understood is everything. Our own is nothing. */
static unsigned news_parse(const struct postgres_store *s, const char *text)
{
    size_t size = PG_INSTANCE_SIZE - 1;
    if (strncmp(text, s->instance, size) == 0 && text[size] == ' ') {
        return 0;
    }
    if (strnlen(text, size + 1) <= size || text[size] != ' ') {
        return STORE_NEWS_ALL;
    }
    unsigned long bits = strtoul(text + size + 1, NULL, 10);
    return bits == 0 || bits > STORE_NEWS_ALL ? STORE_NEWS_ALL : (unsigned)bits;
}

/* True when it is to end. */
static bool wait_for(const struct postgres_listener *l, int socket, int timeout_ms)
{
    struct pollfd fds[] = {{.fd = l->wake[0], .events = POLLIN}, {.fd = socket, .events = POLLIN}};
    int ready = poll(fds, socket < 0 ? 1 : 2, timeout_ms);
    return ready > 0 && fds[0].revents != 0;
}

static void news_take(struct postgres_listener *l, struct pg *db)
{
    unsigned news = 0;
    for (PGnotify *n = PQnotifies(db->handle); n != NULL; n = PQnotifies(db->handle)) {
        news |= news_parse(l->store, n->extra);
        PQfreemem(n);
    }
    if (news != 0) {
        l->on_news(l->context, news);
    }
}

static enum err listener_connect(struct postgres_listener *l)
{
    enum err err = pg_connect(&l->db, l->store->url, 0, NULL);
    if (err == OK) {
        err = pg_execute(&l->db, "LISTEN chaperone");
    }
    if (err != OK) {
        pg_disconnect(&l->db);
    }
    return err;
}

/* Until it listens again; true when it is to end. */
static bool listener_reconnect(struct postgres_listener *l)
{
    for (int retry_ms = RETRY_MS; listener_connect(l) != OK; retry_ms *= 2) {
        retry_ms = retry_ms > RETRY_MAX_MS ? RETRY_MAX_MS : retry_ms;
        if (wait_for(l, -1, retry_ms)) {
            return true;
        }
    }
    l->on_news(l->context, STORE_NEWS_ALL); /* nobody knows what was missed */
    return false;
}

static void *listener_main(void *argument)
{
    struct postgres_listener *l = argument;
    for (;;) {
        if ((l->db.handle == NULL && listener_reconnect(l)) ||
            wait_for(l, PQsocket(l->db.handle), -1)) {
            break;
        }
        if (PQconsumeInput(l->db.handle) == 0) {
            pg_disconnect(&l->db);
        } else {
            news_take(l, &l->db);
        }
    }
    pg_disconnect(&l->db);
    return NULL;
}

void postgres_news_close(struct postgres_store *s)
{
    struct postgres_listener *l = s->listener;
    if (l == NULL) {
        return;
    }
    while (write(l->wake[1], "", 1) < 0 && errno == EINTR) {
    }
    (void)pthread_join(l->thread, NULL);
    (void)close(l->wake[0]);
    (void)close(l->wake[1]);
    free(l);
    s->listener = NULL;
}

static enum err news_listen(struct store *store, store_news_fn *on_news, void *context)
{
    struct postgres_store *s = postgres_of(store);
    postgres_news_close(s);
    if (on_news == NULL) {
        return OK;
    }
    struct postgres_listener *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        return ERR_NO_MEMORY;
    }
    *l = (struct postgres_listener){.store = s, .on_news = on_news, .context = context};
    if (pipe2(l->wake, O_CLOEXEC) != 0) {
        free(l);
        return ERR_IO;
    }
    /* What happens after this function has returned is heard; where it fails, all is news later. */
    (void)!listener_connect(l);
    if (pthread_create(&l->thread, NULL, listener_main, l) != 0) {
        pg_disconnect(&l->db);
        (void)close(l->wake[0]);
        (void)close(l->wake[1]);
        free(l);
        return ERR_NO_MEMORY;
    }
    s->listener = l;
    return OK;
}

void postgres_news_fill(struct store_backend *b)
{
    b->news_listen = news_listen;
}
