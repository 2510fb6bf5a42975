/* A policy document as people write it, checked and in its canonical form. */
#ifndef CHAPERONE_CONTROLPLANE_POLICY_DOCUMENT_H
#define CHAPERONE_CONTROLPLANE_POLICY_DOCUMENT_H

#include "base/bytes.h"

struct policy_document {
    struct buffer canonical; /* JSON: what is hashed, signed and enforced */
    char *source;            /* what a person wrote; "" for the default; owned */
};

/* `path` NULL: allow everything. ERR_INVALID: `why` names file, line and key. */
enum err policy_document_load(const char *path, struct policy_document *out,
                              struct err_text *why) MUST_USE;
/* The same from a text; `name` stands for the file in errors. */
enum err policy_document_parse(const char *name, struct bytes text, struct policy_document *out,
                               struct err_text *why) MUST_USE;
void policy_document_finish(struct policy_document *document);

#endif
