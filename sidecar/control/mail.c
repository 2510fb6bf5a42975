#include "sidecar/control/mail.h"

#include <stdatomic.h>
#include <stdlib.h>

struct mail {
    struct loop *loop;
    void *owner; /* NULL: closed; the loop's thread only */
    _Atomic int references;
};

struct envelope {
    struct mail *mail;
    mail_fn *fn;
    void *letter;
    mail_discard_fn *discard;
};

struct mail *mail_create(struct loop *loop, void *owner)
{
    struct mail *m = calloc(1, sizeof(*m));
    if (m != NULL) {
        m->loop = loop;
        m->owner = owner;
        atomic_store(&m->references, 1);
    }
    return m;
}

struct mail *mail_retain(struct mail *m)
{
    (void)atomic_fetch_add(&m->references, 1);
    return m;
}

void mail_release(struct mail *m)
{
    if (m != NULL && atomic_fetch_sub(&m->references, 1) == 1) {
        free(m);
    }
}

void mail_close(struct mail *m)
{
    if (m != NULL) {
        m->owner = NULL;
        mail_release(m);
    }
}

static void envelope_free(struct envelope *e)
{
    if (e->discard != NULL) {
        e->discard(e->letter);
    }
    mail_release(e->mail);
    free(e);
}

static void deliver(void *context)
{
    struct envelope *e = context;
    if (e->mail->owner != NULL) {
        e->fn(e->mail->owner, e->letter);
    }
    envelope_free(e);
}

enum err mail_post(struct mail *m, mail_fn *fn, void *letter, mail_discard_fn *discard)
{
    struct envelope *e = calloc(1, sizeof(*e));
    if (e == NULL) {
        if (discard != NULL) {
            discard(letter);
        }
        return ERR_NO_MEMORY;
    }
    *e = (struct envelope){.mail = mail_retain(m), .fn = fn, .letter = letter, .discard = discard};
    enum err result = loop_post(m->loop, deliver, e);
    if (result != OK) {
        envelope_free(e);
    }
    return result;
}
