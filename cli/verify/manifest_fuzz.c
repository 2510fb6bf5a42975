/* A manifest comes from an adversary: read to its end, or refused with a sentence. */
#include <stdlib.h>

#include "cli/verify/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct manifest *m = NULL;
    struct err_text why = {0};
    enum err e = manifest_parse(bytes_of(data, size), &m, &why);
    if ((e == ERR_INVALID && why.text[0] == '\0') || (e == OK) != (m != NULL)) {
        abort();
    }
    for (size_t i = 0; m != NULL && i < manifest_view(m)->file_count; i++) {
        if (manifest_find(m, manifest_view(m)->files[i].name) == NULL) {
            abort();
        }
    }
    manifest_destroy(m);
    return 0;
}
