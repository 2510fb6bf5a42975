/* How other threads reach an object of the loop's thread that may be gone when they do.
 *
 * The mailbox is counted: each thread that posts holds a reference. After mail_close nothing is
 * delivered any more, letters are only discarded. */
#ifndef CHAPERONE_SIDECAR_CONTROL_MAIL_H
#define CHAPERONE_SIDECAR_CONTROL_MAIL_H

#include "base/net/loop.h"

struct mail;

/* `letter` is discarded when it returns. */
typedef void mail_fn(void *owner, void *letter);
typedef void mail_discard_fn(void *letter);

struct mail *mail_create(struct loop *loop, void *owner) MUST_USE; /* NULL: no memory */
struct mail *mail_retain(struct mail *mail);                       /* any thread */
void mail_release(struct mail *mail);                              /* any thread; takes NULL */
void mail_close(struct mail *mail); /* the owner's reference; takes NULL */

/* Any thread: runs fn(owner, letter) on the loop's thread soon, then discard(letter) (may be NULL).
 * Takes the letter, also when it fails. */
enum err mail_post(struct mail *mail, mail_fn *fn, void *letter, mail_discard_fn *discard) MUST_USE;

#endif
