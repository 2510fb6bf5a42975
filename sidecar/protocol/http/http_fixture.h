/* A session of the test's own around the HTTP protocol: what it asks for is noted, what it sends is
 * kept. Grants come when the test says so. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP_FIXTURE_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP_FIXTURE_H

#include "base/crypto/crypto.h"
#include "policies/policy.h"
#include "sidecar/protocol/http/http.h"

enum { FIXTURE_MAX = 64, FIXTURE_TEXT = 256 };

enum fixture_word { FIXTURE_ALLOW, FIXTURE_DENY, FIXTURE_HOLD, FIXTURE_UNRECORDED };

struct fixture_intent {
    char verb[32], text[FIXTURE_TEXT], path[FIXTURE_TEXT], body[FIXTURE_TEXT], rule[32];
    bool allowed, body_follows, body_truncated;
    size_t target_bytes; /* that had gone to the target when it was decided */
};

struct fixture_outcome {
    uint64_t operation;
    Chaperone__V1__Status status;
    uint32_t http_status;
    char error_code[32], response[FIXTURE_TEXT * 4], request_body[FIXTURE_TEXT];
    uint64_t bytes, bytes_in;
    size_t agent_bytes; /* that had gone to the agent when it was recorded */
};

struct fixture {
    struct protocol_link link; /* first */
    struct protocol_shared shared;
    void *protocol;
    struct buffer to_agent, to_target;
    struct buffer agent_rest, target_rest; /* not used yet */
    bool identified, opened, is_closed, is_proxy, needs_body, asked;
    char token[FIXTURE_TEXT], chosen[FIXTURE_TEXT];
    enum fixture_word word; /* about the next operation */
    uint64_t max_request, max_response;
    bool is_held;
    uint64_t held_operation;
    struct protocol_hold hold;
    struct fixture_intent intents[FIXTURE_MAX];
    size_t intent_count;
    struct fixture_outcome outcomes[FIXTURE_MAX];
    size_t outcome_count;
    char messages[FIXTURE_MAX][FIXTURE_TEXT]; /* "> text hello" */
    size_t message_count;
    char end[FIXTURE_TEXT];
    enum protocol_step step; /* the last one */
    bool connected;          /* to the target, or about to be */
    size_t connections;      /* to the target, that were asked for */
    int64_t now_ns;          /* what the clock says */
    int64_t lifetime_ms;     /* of the credential that is granted */
    const char *credential;  /* the field's name; NULL: authorization */
    struct policy *policy;   /* whose masks hold; NULL: none */
    const struct policy_mask *mask_items[POLICY_MASKS_MAX];
    struct protocol_masks masks;
    uint8_t digest[CRYPTO_SHA256_SIZE]; /* what the last approval is bound to */
};

void fixture_start(struct fixture *f);
void fixture_stop(struct fixture *f);
/* The control plane's word: a target "api.internal" that is reached in the clear, whose credential
 * is "authorization: Bearer SECRET-OF-THE-TARGET". */
void fixture_grant(struct fixture *f);
/* These masks hold from here on: a list, as obligations have it. */
void fixture_mask(struct fixture *f, const char *masks);
/* Bytes of a side; what the protocol leaves is offered again with the next ones. */
void fixture_agent(struct fixture *f, struct bytes b);
void fixture_target(struct fixture *f, struct bytes b);
/* The target ends its connection; then it takes another one, when it was asked for. */
void fixture_target_ends(struct fixture *f);
void fixture_target_comes(struct fixture *f);
void fixture_agent_says(struct fixture *f, const char *text);
void fixture_target_says(struct fixture *f, const char *text);
/* All that came, as text, since the last call; until the next one. */
const char *fixture_to_agent(struct fixture *f);
const char *fixture_to_target(struct fixture *f);

#define FIXTURE_SECRET "SECRET-OF-THE-TARGET"

#endif
