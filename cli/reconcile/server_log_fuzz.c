#include <stdlib.h>

#include "cli/reconcile/statement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of(data, size);
    enum server_log_format format = server_log_detect(input);
    struct server_log *l = server_log_create(format);
    struct buffer room;
    buffer_init(&room, 1 << 24);
    while (l != NULL && input.size > 0) {
        struct server_log_line line;
        struct statement s;
        struct bytes about;
        size_t n = server_log_split(format, input, true);
        if (n == 0 || n > input.size) {
            abort();
        }
        if (server_log_parse(l, bytes_of(input.data, n), &line, NULL) == OK) {
            statement_read(&line, &room, &s);
            (void)statement_own(&s, &about);
        }
        input = bytes_of(input.data + n, input.size - n);
    }
    buffer_finish(&room);
    server_log_destroy(l);
    return 0;
}
