/* Descriptor sets of a program are its own; the index must hold all the same. */
#include <stdlib.h>

#include "base/rpc/descriptors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct descriptors *d = descriptors_create();
    if (d == NULL)
        return 0;
    if (descriptors_add(d, bytes_of(data, size)) == OK) {
        size_t count = descriptors_file_count(d);
        int *files = calloc(count + 1, sizeof(*files));
        for (size_t i = 0; files != NULL && i < count; i++) {
            if (descriptors_closure(d, (int)i, files) > count)
                abort();
        }
        free(files);
    }
    descriptors_destroy(d);
    return 0;
}
