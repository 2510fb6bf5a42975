/* The input as an authorization server's answer: its first byte chooses the status. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "controlplane/credentials/oauth2_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_usable(struct bytes token)
{
    for (size_t i = 0; i < token.size; i++) {
        if (token.data[i] <= 0x20 || token.data[i] >= 0x7f) {
            return false;
        }
    }
    return token.size > 0 && token.size <= OAUTH2_TOKEN_CAP;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const long statuses[] = {200, 200, 200, 400, 401, 302, 500};
    struct oauth2_token token = {0};
    struct err_text why = {0};
    if (size == 0) {
        return 0;
    }
    long status = statuses[data[0] % (sizeof(statuses) / sizeof(statuses[0]))];
    enum err e = oauth2_read_answer(status, bytes_of(data + 1, size - 1), &token, &why);
    if (e == OK &&
        (status != 200 || !is_usable(buffer_bytes(&token.text)) || token.lifetime_s < 0)) {
        abort();
    }
    if (e != OK && why.text[0] == '\0') {
        abort(); /* a refusal without a reason */
    }
    oauth2_token_finish(&token);
    return 0;
}
