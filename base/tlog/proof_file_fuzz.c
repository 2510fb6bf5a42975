#include <assert.h>

#include "base/tlog/proof_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tlog_proof_file file;
    struct err_text why;
    struct buffer extra, again;
    buffer_init(&extra, TLOG_PROOF_EXTRA_MAX);
    buffer_init(&again, TLOG_PROOF_FILE_MAX);
    if (tlog_proof_file_parse(bytes_of(data, size), &file, &extra, &why) == OK) {
        assert(tlog_proof_file_format(&file, buffer_bytes(&extra), &again) == OK);
        assert(again.data != NULL);
        assert(bytes_equal(buffer_bytes(&again), bytes_of(data, size)));
        /* Any proof may be checked, for any size. */
        struct tlog_hash hash = {{0}};
        uint64_t other = file.index ^ size;
        assert(!tlog_tree_check_inclusion(&file.proof, file.index + 1, other, &hash, &hash) ||
               file.index == 0);
        (void)!tlog_tree_check_consistency(&file.proof, file.index + size, file.index, &hash,
                                           &hash);
        (void)!tlog_tree_check_inclusion(&file.proof, file.index + size, file.index, &hash, &hash);
    }
    buffer_finish(&extra);
    buffer_finish(&again);
    return 0;
}
