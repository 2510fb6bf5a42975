/* A set of texts: what was named, each once. */
#ifndef CHAPERONE_CONTROLPLANE_EVIDENCE_TEXT_SET_H
#define CHAPERONE_CONTROLPLANE_EVIDENCE_TEXT_SET_H

#include "base/arena.h"

struct text_set {
    void *root;
    struct arena *arena; /* borrows; keeps the texts */
};

/* "" is not added. */
enum err text_set_add(struct text_set *set, const char *text) MUST_USE;
bool text_set_has(const struct text_set *set, const char *text);
/* In no order. Stops at an error and hands it on. */
enum err text_set_each(const struct text_set *set,
                       enum err (*visit)(void *context, const char *text), void *context) MUST_USE;
void text_set_finish(struct text_set *set);

#endif
