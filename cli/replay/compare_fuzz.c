/* A recorded answer is an outsider's: whatever it holds, the comparison ends, and what is hashed is
 * only what came now. */
#include <stdint.h>
#include <stdlib.h>

#include "cli/replay/compare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Chaperone__V1__Outcome recorded = CHAPERONE__V1__OUTCOME__INIT;
    recorded.status = CHAPERONE__V1__STATUS__SUCCESS;
    recorded.response_encoding = (char *)(uintptr_t) "postgres";
    recorded.response.data = (uint8_t *)(uintptr_t)data;
    recorded.response.len = size;
    bool is_sure = false;
    enum compare_format format = compare_find_format(&recorded, &is_sure);
    struct comparison *c = compare_create(&recorded);
    if (c == NULL) {
        return 0;
    }
    const struct compare_cell cells[] = {{.value = bytes_of_string("a")}, {.is_null = true}};
    const struct compare_end end = {.tag = "", .format = format, .is_format_known = is_sure};
    struct err_text why;
    struct bytes then, now;
    for (int i = 0; i < 3; i++) {
        if (compare_add_row(c, cells, 2) != OK || compare_add_copy(c, bytes_of(data, size)) != OK) {
            abort();
        }
    }
    /* Three rows against a digest of none. */
    if (compare_finish(c, &end, &why) == COMPARE_AGREES) {
        abort();
    }
    (void)compare_first_difference(c, &then, &now);
    compare_destroy(c);
    return 0;
}
