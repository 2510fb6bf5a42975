/* A zip file comes from an adversary: nothing is read outside of it. */
#include <stdlib.h>

#include "cli/verify/zip_layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err_text why = {0};
    if (zip_layout_check(bytes_of(data, size), &why) != OK && why.text[0] == '\0') {
        abort();
    }
    return 0;
}
