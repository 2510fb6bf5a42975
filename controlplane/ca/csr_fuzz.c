/* A certificate request comes from whoever can reach the port. */
#include "controlplane/ca/csr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct csr *csr = NULL;
    struct err_text why;
    if (csr_parse(bytes_of(data, size), &csr, &why) == OK) {
        volatile size_t n = csr_public_key_der(csr).size;
        (void)n;
        csr_destroy(csr);
    }
    return 0;
}
