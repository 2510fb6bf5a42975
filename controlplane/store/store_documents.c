#include "controlplane/store/store_documents.h"

#include <stdlib.h>

static int document_compare(const void *a, const void *b)
{
    const struct store_document *x = *(const struct store_document *const *)a;
    const struct store_document *y = *(const struct store_document *const *)b;
    return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1) : strcmp(x->name, y->name);
}

enum err store_documents_sort(const struct store_document *documents, size_t count,
                              const struct store_document ***out, struct err_text *why)
{
    const struct store_document **sorted = malloc((count + 1) * sizeof(struct store_document *));
    if (sorted == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &documents[i];
    }
    qsort(sorted, count, sizeof(struct store_document *), document_compare);
    enum err err = OK;
    for (size_t i = 1; err == OK && i < count; i++) {
        if (document_compare(&sorted[i - 1], &sorted[i]) == 0) {
            err = err_set(why, ERR_EXISTS, "the name \"%.200s\" is used twice", sorted[i]->name);
        }
    }
    if (err != OK) {
        free(sorted);
        return err;
    }
    *out = sorted;
    return OK;
}

bool store_documents_has(const struct store_document *const *sorted, size_t count,
                         const struct store_document *key)
{
    return bsearch(&key, sorted, count, sizeof(struct store_document *), document_compare) != NULL;
}
