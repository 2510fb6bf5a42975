#include "sidecar/token_read.h"

#include <pthread.h>
#include <stdlib.h>

/* As with a name look-up (base/net/resolve.c): a cancelled one is freed when its thread's answer
 * arrives. */
struct token_read {
    struct loop *loop;
    struct token_source *source; /* held */
    token_read_fn *fn;           /* NULL: cancelled */
    void *context;
    enum err result;
    struct err_text why;
    struct buffer token;
};

static void token_read_free(struct token_read *r)
{
    token_source_release(r->source);
    buffer_wipe(&r->token);
    free(r);
}

static void on_done(void *context)
{
    struct token_read *r = context;
    if (r->fn != NULL) {
        r->fn(r->context, r->result, buffer_bytes(&r->token), r->result == OK ? NULL : r->why.text);
    }
    token_read_free(r);
}

static void *run(void *argument)
{
    struct token_read *r = argument;
    r->result = token_source_read(r->source, &r->token, &r->why);
    struct loop *loop = r->loop;
    if (loop_post(loop, on_done, r) == ERR_CLOSED) {
        token_read_free(r); /* the process ends */
    }
    /* No memory for the message: the session ends by its login timeout, and this leaks. */
    loop_release(loop);
    return NULL;
}

static enum err start_thread(struct token_read *r)
{
    pthread_t thread;
    pthread_attr_t attributes;
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    loop_hold(r->loop);
    int code = pthread_create(&thread, &attributes, run, r);
    (void)pthread_attr_destroy(&attributes);
    if (code != 0) {
        loop_release(r->loop);
    }
    return code == 0 ? OK : ERR_LIMIT;
}

enum err token_read_start(struct loop *loop, struct token_source *source, token_read_fn *fn,
                          void *context, struct token_read **out)
{
    struct token_read *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return ERR_NO_MEMORY;
    }
    r->loop = loop;
    r->source = token_source_hold(source);
    r->fn = fn;
    r->context = context;
    buffer_init(&r->token, TOKEN_MAX);
    enum err e;
    if (token_source_is_quick(source)) {
        r->result = token_source_read(source, &r->token, &r->why);
        e = loop_post(loop, on_done, r);
    } else {
        e = start_thread(r);
    }
    if (e != OK) {
        token_read_free(r);
        return e;
    }
    *out = r;
    return OK;
}

void token_read_cancel(struct token_read *r)
{
    if (r != NULL) {
        r->fn = NULL;
    }
}
