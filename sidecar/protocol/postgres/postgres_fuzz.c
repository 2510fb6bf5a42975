/* A conversation of two hostile peers: pieces of the input go to the agent's and the target's side
 * in turn. Nothing may crash; the fixture aborts when more is used than was offered, and when
 * anything of the agent's leaves while people think. The first byte: whether the login is done
 * already (1), whether masks hold (2), whether UPDATE needs approval (4) with a dry run (8). Each
 * piece: side (1 bit), size (15 bits), bytes. One of no bytes is people's decision: yes from the
 * agent's side, no from the target's; where none is awaited, the agent cancels. */
#include <stdlib.h>

#include "policies/policy.h"
#include "sidecar/protocol/postgres/postgres_fixture.h"

static const char document[] =
    "{\"version\":1,\"rules\":[{\"name\":\"all\",\"effect\":\"allow\",\"obligations\":{\"mask\":["
    "{\"columns\":[\"*.people.ssn\"],\"with\":{\"partial\":{\"keep_last\":2}},"
    "\"computed\":\"null\",\"predicates\":\"allow\",\"unknown_origin\":\"null\"},"
    "{\"detect\":[\"email\"],\"with\":{\"fixed\":\"x\"}}]}}]}";

static void no_bytes(struct fixture *f, bool is_agent)
{
    if (f->held != FIXTURE_HELD && f->opened) {
        protocol_postgres.on_signal(f->protocol);
    }
    fixture_decide(f, is_agent ? FIXTURE_APPROVED : FIXTURE_REFUSED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture f;
    if (size < 1) {
        return 0;
    }
    fixture_init(&f);
    const struct policy_mask *items[POLICY_MASKS_MAX];
    struct policy *policy = NULL;
    if ((data[0] & 2) != 0) {
        const struct policy_request who = {.subject = "a", .resource = "r"};
        bool complete = false;
        if (policy_compile(bytes_of_string(document), 1, &policy, NULL) != OK) {
            abort();
        }
        f.masks = (struct protocol_masks){.version = 2,
                                          .items = items,
                                          .count = policy_masks(policy, &who, items, &complete),
                                          .is_complete = true};
    }
    f.deny = "DROP";
    f.hold = (data[0] & 4) != 0 ? "UPDATE" : NULL;
    f.hold_tells = f.hold_explains = true;
    f.hold_runs_dry = (data[0] & 8) != 0;
    if (data[0] & 1) {
        fixture_login(&f);
    }
    size_t at = 1;
    while (size - at >= 2 && !f.closed) {
        size_t n = (size_t)(data[at] & 0x7f) << 8 | data[at + 1];
        bool is_agent = (data[at] & 0x80) == 0;
        at += 2;
        n = n < size - at ? n : size - at;
        struct bytes piece = bytes_of(data + at, n);
        if (n == 0) {
            no_bytes(&f, is_agent);
        } else if (is_agent) {
            fixture_agent(&f, piece);
        } else {
            fixture_target(&f, piece);
        }
        at += n;
    }
    fixture_finish(&f);
    policy_destroy(policy);
    return 0;
}
