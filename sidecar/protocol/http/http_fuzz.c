#include "sidecar/protocol/http/http_fixture.h"

#include <stdlib.h>

/* Both sides say anything, in pieces of any size. Whatever comes, nothing goes to the target that
 * was not decided before, and the credential never comes to the agent.
 *
 * An input is a row of pieces: a byte that says whose it is (bit 0) and how long it is (the rest,
 * times 4), then the piece. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture f;
    size_t at = 0;
    if (size > 1 << 16) {
        return 0;
    }
    fixture_start(&f);
    while (at < size && !f.is_closed && f.intent_count < FIXTURE_MAX - 2 &&
           f.message_count < FIXTURE_MAX - 8 && f.outcome_count < FIXTURE_MAX - 2) {
        bool is_agent = (data[at] & 1) == 0;
        size_t count = (size_t)(data[at] >> 1) * 4;
        at++;
        count = count > size - at ? size - at : count;
        if (is_agent) {
            fixture_agent(&f, bytes_of(data + at, count));
        } else {
            fixture_target(&f, bytes_of(data + at, count));
        }
        at += count;
        if (f.identified && !f.connected && !f.is_closed) {
            fixture_grant(&f);
        }
        struct bytes shown = buffer_bytes(&f.to_agent);
        bool has_sent = buffer_size(&f.to_target) > 0;
        if ((shown.size > 0 &&
             memmem(shown.data, shown.size, FIXTURE_SECRET, sizeof(FIXTURE_SECRET) - 1) != NULL) ||
            (has_sent && f.intent_count == 0)) {
            abort();
        }
    }
    fixture_stop(&f);
    return 0;
}
