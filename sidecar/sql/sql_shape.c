#include "sidecar/sql/sql_shape.h"

#include <pg_query.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crypto/crypto.h"

static void write_hex(const uint8_t digest[32], char out[SQL_SHAPE_SIZE])
{
    for (size_t i = 0; i < 32; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
}

/* Not the parser's own fingerprint: that is 64 bits that anybody can make collide. */
void sql_shape(struct bytes text, char out[SQL_SHAPE_SIZE])
{
    out[0] = '\0';
    if (text.size > 0 && memchr(text.data, '\0', text.size) != NULL) {
        return;
    }
    char *copy = bytes_to_string(text);
    if (copy == NULL) {
        return;
    }
    PgQueryNormalizeResult r = pg_query_normalize(copy);
    if (r.error == NULL && r.normalized_query != NULL) {
        uint8_t digest[32];
        struct crypto_sha256 h;
        crypto_sha256_init(&h);
        crypto_sha256_update(&h, bytes_of_string(r.normalized_query));
        crypto_sha256_finish(&h, digest);
        write_hex(digest, out);
    }
    pg_query_free_normalize_result(r);
    free(copy);
}
