/* Any bytes as marks: the first line is what is asked. */
#include "controlplane/store/sqlite_marks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct marks_query query;
    marks_query_init(&query);
    size_t at = 0, from = 0;
    for (; at < size && data[at] != '\n'; at++) {
        if (data[at] == ' ' || data[at] == '*') {
            marks_query_add(&query, bytes_of(data + from, at - from), data[at] == '*');
            from = at + 1;
        }
    }
    if (at < size) {
        (void)marks_may_have(&query, bytes_of(data + at + 1, size - at - 1));
    }
    return 0;
}
