/* The inside of the HTTP protocol, shared by its files: http.c (the connection's life), http_open.c
 * (its beginning), http_exchanges.c (which are under way), http_head.c (heads, copied and looked
 * through), http_exchange.c (the way of a request), http_check.c (what is refused before),
 * http_decide.c (what the policy is asked), http_forward.c (to the target), http_response.c (the
 * way back), http_record.c (what is written down), http_refuse.c (answers of our own),
 * http_socket.c (WebSockets), http_events.c (event streams), http_piece.c (their messages). */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP_INTERNAL_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP_INTERNAL_H

#include "base/arena.h"
#include "base/crypto/crypto.h"
#include "policies/policy.h"
#include "sidecar/masking/masker_body.h"
#include "sidecar/protocol/http/http.h"
#include "sidecar/protocol/http/http_body.h"
#include "sidecar/protocol/http/http_codec.h"
#include "sidecar/protocol/http/http_target.h"

enum {
    /* A request's body that is at most so long is awaited before the request is decided, so that it
     * is in the intent; longer ones only where the policy needs them. */
    HTTP_GATHER_SMALL = 16 << 10,
    /* What is read and thrown away of a refused request, so that the connection can go on. */
    HTTP_DISCARD_MAX = 1 << 20,
    /* Of all requests of a connection whose bodies are awaited; beyond it they are decided as not
     * read. */
    HTTP_GATHER_MAX = 4 << 20,
    /* Of an answer that may be changed: up to here its end is awaited. */
    HTTP_DELAY_MAX = 64 << 10,
    HTTP_WHY_SIZE = 400,
    HTTP_CODING_SIZE = 64,
};

/* The masks of one revision, shared by the exchanges that began under it. */
struct http_masks {
    size_t references;
    uint64_t version;
    struct masker *masker; /* NULL: nothing is masked */
    size_t rule_count;
    char rules[MASKER_RULES_MAX][POLICY_NAME_SIZE_MAX + 1];
};

/* How often each rule masked something of an exchange. */
struct http_receipt {
    uint64_t by_name[MASKER_RULES_MAX], by_content[MASKER_RULES_MAX];
    bool any;
};

/* Bytes of a body as they are recorded, up to the configured size. */
struct http_recorded {
    struct buffer bytes;
    bool is_truncated;
    bool is_left_out; /* the policy wants it so, or it cannot be masked */
};

/* Fields that are kept until the outcome is written. A NUL stands behind each name. */
struct http_kept {
    struct http_field *items;
    bool *masked;
    size_t count;
    struct http_kept_block *texts; /* of names and values */
};

enum http_exchange_state {
    EXCHANGE_NEW,       /* waits for the grant, the target, or those before it */
    EXCHANGE_GATHERING, /* waits for its body */
    EXCHANGE_HELD,      /* people decide */
    EXCHANGE_RELAYING,  /* at the target */
    EXCHANGE_REFUSED,   /* answered here; the rest of the request is thrown away */
};

struct http;
struct http_socket;
struct http_events;

struct http_exchange {
    struct http_exchange *next;
    struct http *http;
    enum http_exchange_state state;
    uint32_t agent_stream, target_stream;
    struct http_request request; /* in `block` */
    void *block;
    struct http_target target; /* in `target_block`; the normal form */
    struct arena *arena;       /* NULL until it is decided */
    bool is_checked;           /* the target has been read */
    bool needs_body;
    bool request_complete, response_started, response_complete;
    bool target_is_done;    /* its stream there is over */
    bool is_settled;        /* nothing more comes of it; freed when nobody looks at it */
    unsigned broken_status; /* the request will never be whole, `error` is why: what the agent gets;
                               0: it may be */

    struct buffer gathered;   /* of the body, before it is decided */
    size_t gathered_consumed; /* of it, what the codec was told already */
    struct http_kept request_trailers, request_trailers_shown; /* forwarded; recorded */
    uint64_t discarded;

    uint64_t operation, intent_sequence, max_request, max_response;
    bool without_results;
    int64_t started_ns, head_ns;

    /* Towards the target. */
    uint64_t bytes_in;
    struct crypto_sha256 digest_in;
    struct http_body *request_plain; /* NULL: the intent has all of it */
    struct http_recorded request_record;
    size_t request_unconsumed;
    bool is_streamed; /* its body came after the intent */
    bool is_reusing;  /* the target's connection had a request before */

    /* Towards the agent. */
    struct http_masks *masks;
    struct http_body *body;
    struct http_body *reader; /* of a coded answer that is not looked through: for the record */
    bool is_coded;
    struct http_recorded record;
    uint64_t bytes_out;
    struct crypto_sha256 digest;
    size_t response_unconsumed;
    /* A short answer that may be changed waits for its end: then its length is known, and one that
     * cannot be shown is refused with an answer instead of half of one. */
    bool is_delayed;
    struct http_response head;
    struct buffer delayed;
    uint64_t messages_from_agent, messages_to_agent;
    unsigned status;
    enum http_version target_version;
    struct http_kept response_fields, response_trailers;
    char coding[HTTP_CODING_SIZE];
    struct http_receipt *receipt;
    char error_code[32], error[HTTP_WHY_SIZE]; /* "": none */
    struct http_socket *socket;                /* after 101 */
    struct http_events *events;                /* of an event stream */
};

enum http_target_state {
    HTTP_TARGET_NONE,
    HTTP_TARGET_IDENTIFYING,
    HTTP_TARGET_CONNECTING,
    HTTP_TARGET_SECURING,
    HTTP_TARGET_READY,
    HTTP_TARGET_AWAY, /* its connection is over; the next request opens another one */
    HTTP_TARGET_GONE, /* there will be none */
};

struct http {
    struct protocol_link *link;
    const struct protocol_shared *shared;
    struct http_codec *agent, *target;
    struct http_codec *replaced; /* the proxy's, after CONNECT; destroyed outside of its calls */
    bool is_tunnel;              /* CONNECT was answered: TLS, or the first request, comes */
    bool is_secure;              /* the agent asked for https of a proxy */
    char host[HTTP_HOST_SIZE];   /* that was chosen of a proxy */
    enum http_target_state target_state;
    struct http_exchange *first, *last;
    struct http_exchange *held;
    bool agent_ended, is_closing, is_opened;

    uint8_t token[CRYPTO_SHA256_SIZE]; /* of the first request; whose connection it is */
    bool has_token;
    /* Of the grant. */
    char *authority;
    struct http_kept credential;
    struct http_secrets *secrets; /* NULL: none */
    int64_t renew_ns;             /* monotonic: from then on another connection; 0: never */
    uint8_t masking_key[32];
    bool target_is_secure, target_is_http2;
    bool target_was_used; /* this connection, for a request */

    struct http_masks *masks;
    struct buffer out;       /* of a body, masked */
    unsigned refused_status; /* of the session; 0: it is not */
    char refused_why[HTTP_WHY_SIZE];
    bool is_retry; /* nothing was wrong with it: another connection would take it */
};

extern const struct http_codec_events http_agent_events, http_proxy_events, http_target_events;

/* ---- http.c */
/* Goes on with what waits. */
void http_advance(struct http *p);
/* No more requests: the agent is told with what it gets next. */
void http_go_away(struct http *p);
/* The agent has its last answer, or gets none. */
bool http_is_over(const struct http *p);
void http_no_memory(struct http *p);

/* ---- http_exchanges.c */
struct http_exchange *http_find_agent(struct http *p, uint32_t stream);
struct http_exchange *http_find_target(struct http *p, uint32_t stream);
/* The agent gave it up, or broke it: the target is told, the outcome written. */
void http_exchange_abandon(struct http_exchange *x, const char *why);
/* Frees it when both of its messages are over. */
void http_exchange_settle(struct http_exchange *x);
/* Frees those that are settled. */
void http_sweep(struct http *p);
void http_exchange_drop(struct http_exchange *x);

/* ---- http_open.c */
/* Asks for the session when the first request has come. */
void http_open(struct http *p);
/* Answers all that was not begun. */
void http_refuse_all(struct http *p);
/* What is not begun yet, and what still comes, belongs on another connection. */
void http_take_no_more(struct http *p, const char *why);
void http_on_proxy_request(void *context, uint32_t stream, const struct http_request *request);
enum protocol_step http_on_granted(void *context, const Chaperone__V1__OpenSessionResponse *grant);
enum protocol_step http_on_refused(void *context, enum err code, const char *why);
enum protocol_step http_on_connected(void *context, enum protocol_side side);
enum protocol_step http_on_secured(void *context, enum protocol_side side);
enum protocol_step http_on_failed(void *context, enum protocol_side side, enum err code,
                                  const char *why);

/* ---- http_check.c. False: it was refused. */
bool http_check(struct http_exchange *x);
/* Writes it down, and answers it. */
void http_refuse_malformed(struct http_exchange *x, unsigned status, const char *why);

/* ---- http_forward.c */
void http_forward(struct http_exchange *x);
void http_forward_data(struct http_exchange *x, struct bytes data);
void http_forward_end(struct http_exchange *x);
/* Of a body that the intent does not have. */
void http_record_data(struct http_exchange *x, struct bytes data);

/* ---- http_head.c. False: no memory. */
/* A NUL stands behind each name of the copy. */
bool http_request_copy(const struct http_request *r, struct http_request *out, void **out_block);
bool http_fields_keep(const struct http_fields *fields, struct http_kept *out);
bool http_kept_add(struct http_kept *k, struct bytes name, struct bytes value, bool masked);
void http_kept_free(struct http_kept *k); /* wipes */
struct http_fields http_kept_fields(const struct http_kept *k);
/* The value of the first field with this name; empty: none. */
struct bytes http_fields_find(const struct http_fields *fields, const char *name);
const char *http_version_name(enum http_version version); /* as records say it */
bool http_name_is(struct bytes name, const char *lower);
/* What comes behind a scheme ("bearer ", lower case) in a credential; empty: it is another one. */
struct bytes http_after_scheme(struct bytes value, const char *scheme);
/* A credential or session of the agent's own: never recorded. */
bool http_is_private(struct bytes name);
size_t http_fields_count(const struct http_fields *fields, const char *name);
/* Whether something is looked for in its answer: masks hold, or there is a secret. */
bool http_looks_through(const struct http_exchange *x);
/* A field of the agent's that does not go to the target: the credential's is there in its place, it
 * was meant for the sidecar, or it would make the answer unreadable: extensions of WebSockets, and
 * parts, over which the agent could spread what is to be found in the whole. */
bool http_is_kept_back(const struct http_exchange *x, struct bytes name);
/* Whether they are the same, or differ where `a` has '_' and `b` has '-'. */
bool http_is_alike(struct bytes a, struct bytes b);
/* Leaves out what is kept back. */
void http_kept_take_back(struct http_exchange *x, struct http_kept *k);

/* ---- http_exchange.c */
void http_on_request(void *context, uint32_t stream, const struct http_request *request);
void http_on_request_data(void *context, uint32_t stream, struct bytes data);
void http_on_request_trailers(void *context, uint32_t stream, const struct http_fields *trailers);
void http_on_request_end(void *context, uint32_t stream);
void http_on_request_failed(void *context, uint32_t stream, enum http_problem problem,
                            const char *why);
/* No more of its body is waited for. */
bool http_exchange_is_there(const struct http_exchange *x);
/* Decides and forwards it, or leaves it where it is. */
void http_exchange_start(struct http_exchange *x);

/* ---- http_decide.c */
struct http_question {
    struct protocol_binding binding; /* first */
    struct http_exchange *exchange;
    Chaperone__V1__Intent intent;
    Chaperone__V1__HttpRequest asked, recorded; /* as it is; after masking */
    struct policy_http policy;
};
/* Everything but the body when `with_body` is false. ERR_INVALID: the request cannot be understood
 * in one way, `why` says it. */
enum err http_question_fill(struct http_exchange *x, bool with_body, struct http_question *q,
                            struct err_text *why);
/* Writes down what was refused before the policy was asked. */
void http_record_malformed(struct http *p, const char *text, const char *why);

/* ---- http_response.c */
void http_on_response(void *context, uint32_t stream, const struct http_response *response);
void http_on_informational(void *context, uint32_t stream, const struct http_response *response);
void http_on_response_data(void *context, uint32_t stream, struct bytes data);
void http_on_response_trailers(void *context, uint32_t stream, const struct http_fields *trailers);
void http_on_response_end(void *context, uint32_t stream);
void http_on_response_failed(void *context, uint32_t stream, enum http_problem problem,
                             const char *why);
/* Its connection is over: what has no answer of it yet gets none. */
void http_lose_target(struct http *p, enum http_problem problem, const char *why);
/* Appends what may be shown of one field. */
enum err http_field_show(struct http_exchange *x, const struct http_field *f, struct buffer *out,
                         bool *changed) MUST_USE;
/* Gives bytes of a body (already as the agent may see them) to the agent. */
void http_give(struct http_exchange *x, struct bytes data);
/* The response is over for the agent; `trailers` may be NULL. */
void http_finish_response(struct http_exchange *x, const struct http_fields *trailers);
/* It cannot go on: what the agent has of it stays a part. */
void http_break_response(struct http_exchange *x, const char *code, const char *why);

/* ---- http_record.c */
struct http_masks *http_masks_take(struct http *p,
                                   struct err_text *why); /* counted; NULL: refuse */
void http_masks_release(struct http_masks *m);
void http_recorded_add(struct http_recorded *r, struct bytes plain);
void http_receipt_take(struct http_exchange *x);
bool http_record_outcome(struct http_exchange *x, Chaperone__V1__Status status);

/* ---- http_piece.c: one message of a stream */
struct http_piece {
    bool from_agent;
    const char *kind, *name; /* name NULL: none */
    struct bytes sent;       /* as the receiver sees it */
    struct bytes shown;      /* to be recorded */
    bool is_left_out;        /* it cannot be masked */
};
/* Appends what may be shown of it. */
enum err http_piece_show(struct http_exchange *x, struct bytes in, bool is_text, bool with_secrets,
                         struct buffer *out) MUST_USE;
bool http_piece_record(struct http_exchange *x, const struct http_piece *piece) MUST_USE;

/* ---- http_socket.c. False: no memory. */
bool http_socket_start(struct http_exchange *x);
void http_socket_free(struct http_socket *s); /* takes NULL */
void http_socket_from_agent(struct http_exchange *x, struct bytes data);
void http_socket_from_target(struct http_exchange *x, struct bytes data);

/* ---- http_events.c. False: no memory. */
bool http_events_start(struct http_exchange *x);
void http_events_free(struct http_events *e); /* takes NULL */
void http_events_take(struct http_exchange *x, struct bytes data);
void http_events_end(struct http_exchange *x);

/* ---- http_refuse.c */
struct http_refusal {
    unsigned status;
    const char *detail;    /* a sentence */
    const char *rule;      /* NULL: none */
    const char *approval;  /* NULL: none */
    uint64_t operation;    /* 0: none */
    int64_t retry_after_s; /* 0: none */
};
/* Answers the exchange here; the rest of its request is thrown away. */
void http_refuse(struct http_exchange *x, const struct http_refusal *refusal);
/* A stream that has no exchange. */
void http_refuse_stream(struct http *p, uint32_t stream, const struct http_refusal *refusal);
unsigned http_problem_status(enum http_problem problem);

#endif
