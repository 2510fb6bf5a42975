#include "sidecar/protocol/http/http_fixture.h"

#include <stdlib.h>

/* Both sides say anything, in pieces of any size. Whatever comes, nothing goes to the target that
 * was not decided before, and the credential never comes to the agent.
 *
 * An input is a row of pieces: a byte that says whose it is (bit 0) and how long it is (the rest,
 * times 4), then the piece. One without length is the end of the target's connection, or people
 * begin to be asked, or have decided. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_empty(struct fixture *f, bool is_agent)
{
    if (is_agent) {
        f->word = f->word == FIXTURE_HOLD ? FIXTURE_ALLOW : FIXTURE_HOLD;
        fixture_agent_says(f, "");
    } else if (f->connected) {
        fixture_target_ends(f);
    }
}

/* What the session does when the protocol asked for it. */
static void connect(struct fixture *f, size_t *connections)
{
    if (f->identified && *connections == 0 && !f->is_closed) {
        fixture_grant(f);
        *connections = 1;
    }
    while (f->connections > *connections && !f->is_closed) {
        *connections = f->connections;
        fixture_target_comes(f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture f;
    size_t at = 0, connections = 0;
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
        if (count == 0) {
            take_empty(&f, is_agent);
        } else if (is_agent) {
            fixture_agent(&f, bytes_of(data + at, count));
        } else {
            fixture_target(&f, bytes_of(data + at, count));
        }
        at += count;
        connect(&f, &connections);
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
