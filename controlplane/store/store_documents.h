/* Documents that replace all that there were, in the order in which both backends look for them. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_STORE_DOCUMENTS_H
#define CHAPERONE_CONTROLPLANE_STORE_STORE_DOCUMENTS_H

#include "controlplane/store/store.h"

/* By kind and name; `out` returns owned (free) and borrows the documents. ERR_EXISTS: two have one
 * name. */
enum err store_documents_sort(const struct store_document *documents, size_t count,
                              const struct store_document ***out, struct err_text *why) MUST_USE;
/* Whether one of the sorted ones has the key's kind and name. */
bool store_documents_has(const struct store_document *const *sorted, size_t count,
                         const struct store_document *key);

#endif
