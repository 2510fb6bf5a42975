#include <stdlib.h>
#include <string.h>

#include "sidecar/protocol/http/http_target.h"

/* What is understood has one form: reading it again changes nothing, and no decoded path has what
 * servers disagree about. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create(4096, 1 << 22);
    struct http_target once, twice;
    struct err_text why;
    char host[HTTP_HOST_SIZE];
    uint16_t port;
    if (arena == NULL || size > 1 << 16) {
        arena_destroy(arena);
        return 0;
    }
    (void)!http_authority_read(bytes_of(data, size), host, &port);
    if (http_target_read(arena, bytes_of(data, size), &once, &why) == OK) {
        bool is_star = bytes_equal_string(once.forwarded, "*");
        if (http_target_read(arena, once.forwarded, &twice, &why) != OK ||
            !bytes_equal(once.forwarded, twice.forwarded) || strcmp(once.path, twice.path) != 0) {
            abort();
        }
        if (!is_star && (once.path[0] != '/' || strstr(once.path, "/../") != NULL ||
                         strstr(once.path, "//") != NULL || strchr(once.path, '\\') != NULL)) {
            abort();
        }
    }
    arena_destroy(arena);
    return 0;
}
