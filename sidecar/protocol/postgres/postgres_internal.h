/* The inside of a PostgreSQL session, shared by the files named in postgres.h. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_INTERNAL_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_INTERNAL_H

#include "base/arena.h"
#include "base/crypto/crypto.h"
#include "sidecar/protocol/postgres/pg_login.h"
#include "sidecar/protocol/postgres/pg_sqlstate.h"
#include "sidecar/protocol/postgres/pg_startup.h"
#include "sidecar/protocol/postgres/pg_write.h"
#include "sidecar/protocol/postgres/postgres.h"
#include "sidecar/protocol/postgres/postgres_masking.h"
#include "sidecar/protocol/postgres/postgres_prediction.h"
#include "sidecar/protocol/postgres/postgres_queue.h"
#include "sidecar/sql/sql.h"
#include "sidecar/sql/sql_naming.h"

enum {
    PG_GATHER_MAX = 64 << 10, /* a message of the target that is looked at is gathered up to here */
    PG_BIND_GATHER = 64 << 10,    /* and so is a Bind; the rest of a longer one is streamed */
    PG_SETTINGS_DECIDED_MAX = 16, /* of the startup packet, beside the harmless ones */
    PG_OUTPUT_MAX = 2 << 20,      /* messages of our own, written at once */
    PG_FOLLOWED_MAX = 64,         /* of EXECUTE and FETCH in one text; more stay unknown */
    PG_MASKED_GOAL = 64 << 10,    /* rows that are masked in one go; at least one */
    PG_MASKED_MAX = 2 * MASKER_ROW_MAX + PG_MASKED_GOAL,
};

/* postgres_set_state is the only one to change it. */
enum pg_state {
    PG_STARTUP,      /* waits for the agent's first packet */
    PG_TOKEN,        /* waits for the agent's token */
    PG_GRANT,        /* the control plane is asked */
    PG_CONNECTING,   /* to the target */
    PG_TARGET_SSL,   /* waits for the target's answer to SSLRequest */
    PG_TARGET_TLS,   /* the handshake with the target */
    PG_TARGET_LOGIN, /* authentication, settings */
    PG_RELAY,        /* the conversation */
    PG_DONE,
};

/* How a statement is refused. Strings are borrowed for the call. */
struct pg_refusal {
    const char *sqlstate, *message, *detail, *hint;
    uint32_t position;
    const char *rule; /* that refused; NULL: it was not understood */
};

/* The rest of a message that is passed on as it comes. */
struct pg_stream {
    uint8_t type;
    uint32_t left;
    bool drop; /* refused: what comes is thrown away */
    bool hash; /* its bytes go into the digest of what the agent sent */
};

struct pg_decided {
    uint64_t operation, intent_sequence;
};

/* What was made of an operation when it was decided, for its answer. Owned. */
struct pg_meaning {
    struct pg_plan *plan;       /* NULL: nothing is masked */
    struct pg_effects *effects; /* NULL: none */
    bool changes;               /* the catalog, or what names mean */
    bool is_transactional;      /* sql_is_transactional */
    bool is_provisional;        /* protocol_link.is_provisional */
};

struct postgres {
    struct protocol_link *link;
    const struct protocol_shared *shared;
    enum pg_state state;
    struct buffer out; /* a message of our own, for one call */

    /* What the agent's startup packet said. */
    char *settings; /* pairs of NUL-terminated strings, as in the packet; owned */
    size_t settings_size;
    struct bytes user, database, application_name; /* into settings */

    struct pg_decided settings_decided[PG_SETTINGS_DECIDED_MAX];
    size_t setting_count;

    struct pg_login *login;
    Chaperone__V1__TlsMode tls;
    /* Owned, until the login is done; the password is wiped. */
    char *target_user, *target_database, *target_password;
    uint8_t end_point[64];
    bool target_is_local, target_is_tls;
    uint32_t target_process;
    uint8_t target_key[PG_KEY_MAX];
    size_t target_key_size;

    /* The conversation. */
    struct pg_queue queue;
    struct pg_names *statements, *portals;
    struct pg_spares spares;
    uint8_t transaction; /* 'I', 'T', 'E': as the last ReadyForQuery said */
    bool batch_open;     /* something was sent that the next Sync will end */
    bool skipping;       /* after an error: the server waits for Sync, and so do we */
    bool agent_ended, fatal_sent, terminated;
    struct pg_stream from_agent, from_target;
    bool is_ascii_safe, standard_strings; /* the target's settings, for statement texts */
    uint64_t reads_otherwise; /* the last message in the queue's count that may change them */
    uint64_t bound;           /* messages that may do so */

    /* A Parse whose Bind comes next: both leave, or neither does. */
    struct {
        struct bytes message; /* borrows the chunk that is being looked at; empty: none */
        struct pg_sent sent;
    } coming;

    bool offers_again; /* the message at hand waits for a decision: it is looked at again */
    bool is_held;      /* by people's decision */
    bool notice_due;   /* the agent is to be told so, when there is a place between messages */
    struct pg_prediction prediction;

    struct pg_masking masking;
    struct pg_meaning meaning; /* of the operation that is being decided, until it is sent */
    struct sql_analysis *followed[PG_FOLLOWED_MAX]; /* of what names stand for; for one decision */
    size_t followed_count;
    struct crypto_sha256 followed_texts; /* of all that names stand for, where has_followed */
    bool has_followed;
    size_t effects_size;   /* of texts in all pg_effects; at most PG_NAMES_TEXT_MAX */
    bool names_are_moving; /* within the text that is being decided */
    bool names_are_open;   /* what one of them stands for is known when the target has answered */

    /* The answer that is coming in, if it is masked. */
    struct pg_result *result; /* of a Query: the one that was described last; owned */
    struct masker_copy *copy; /* owned */
    struct buffer masked;
    uint64_t withheld, rows_cut, rows_shown;
    bool cut_is_told;

    /* The answer that is coming in: always of the head of the queue. */
    struct buffer response;
    bool response_truncated;
    struct crypto_sha256 digest;
    uint64_t rows, bytes, bytes_in;
    uint64_t rows_unended; /* that came since the last command's end */
    struct crypto_sha256 digest_in;
    char tag[64], error_code[6], error[256];
    /* The last operation since a Sync: an error at the Sync itself is its. */
    uint64_t last_operation, last_intent_sequence;
};

void postgres_set_state(struct postgres *p, enum pg_state state);
/* Sends what lies in `out` to a side; a message that could not be written ends the session. */
enum protocol_step postgres_send(struct postgres *p, enum protocol_side side, enum err written);
/* FATAL to the agent, and the end. `reason` is for the record: "error", "target_disconnected". */
/* The agent broke the protocol. */
enum protocol_step postgres_violation(struct postgres *p, const char *what);
enum protocol_step postgres_fatal(struct postgres *p, const char *sqlstate, const char *message,
                                  const char *reason);

/* postgres_login.c */
enum protocol_step postgres_startup_bytes(struct postgres *p, struct bytes in, size_t *out_used);
enum protocol_step postgres_token_bytes(struct postgres *p, struct bytes in, size_t *out_used);
enum protocol_step postgres_target_ssl_bytes(struct postgres *p, struct bytes in, size_t *out_used);
enum protocol_step postgres_login_bytes(struct postgres *p, struct bytes in, size_t *out_used);
enum protocol_step postgres_granted(struct postgres *p,
                                    const Chaperone__V1__OpenSessionResponse *grant);
enum protocol_step postgres_refused(struct postgres *p, enum err code, const char *why);
enum protocol_step postgres_target_connected(struct postgres *p);
enum protocol_step postgres_target_secured(struct postgres *p);
void postgres_watch_setting(struct postgres *p, struct bytes name, struct bytes value);

/* postgres_settings.c: the settings of the startup packet, each decided and recorded as a SET.
 * False: refused. */
bool postgres_decide_settings(struct postgres *p, struct pg_refusal *out_refusal);
/* What goes to the target: who and where are the grant's. At least 2 and at most `max`. */
size_t postgres_startup_settings(const struct postgres *p, struct pg_setting *out, size_t max);
bool postgres_settings_outcome(struct postgres *p, Chaperone__V1__Status status);

/* postgres_agent.c */
enum protocol_step postgres_agent_bytes(struct postgres *p, struct bytes in, size_t *out_used);
/* Why a session ends that did not end its COPY. */
extern const char postgres_amid_copy[];
/* The message at hand is offered again when the target has answered; in a batch it is asked to. */
enum protocol_step postgres_wait_for_answers(struct postgres *p);
/* Analyses a statement and says whether it may go on. On refusal the intent is recorded (also with
 * its outcome) and `*out_refusal` filled (valid until the scratch arena is reset). */
struct pg_operation {
    const char *verb;
    struct bytes text;
    const char *function; /* its oid, in place of a text; NULL: none */
    struct bytes statement_name, portal;
    Chaperone__V1__Parameter **parameters;
    size_t parameter_count;
    /* What is sent with the text: a Bind's body behind its names, and the types of the values as
     * Parse declared them. */
    struct bytes values;
    size_t result_formats_size; /* at its end */
    const uint32_t *declared;
    size_t declared_count;
    const uint32_t *types; /* as far as they are known by now */
    size_t type_count;
    bool cannot_wait; /* not all of it is here, or it is no statement of the conversation */
    /* Refused before the policy is asked; NULL message: not. */
    struct pg_refusal refused;
};
/* Fills commands and objects into `m`, or `*refused`. `meaning` NULL: only whether it can be
 * understood. */
void postgres_understand(struct postgres *p, const struct pg_operation *op,
                         Chaperone__V1__Intent *m, struct pg_refusal *refused,
                         struct pg_meaning *meaning);
void postgres_meaning_finish(struct pg_meaning *meaning);
/* postgres_provisional.c: whether a text of this analysis, which is transactional, would be within
 * a transaction block that nothing before it may have ended. */
bool postgres_is_provisional(const struct postgres *p, const struct sql_analysis *a);
enum pg_decision {
    PG_REFUSED,
    PG_ALLOWED,
    PG_WAITS, /* return PROTOCOL_WAIT; the message comes again */
};
enum pg_decision postgres_decide(struct postgres *p, const struct pg_operation *op,
                                 struct protocol_verdict *verdict, struct pg_refusal *out_refusal);
/* Of a Parse: the operation of preparing it. Never waits. */
enum pg_decision postgres_prepare(struct postgres *p, const struct pg_operation *op,
                                  struct protocol_verdict *verdict, struct pg_refusal *out_refusal);
/* Whether the policy denies it now; `*refused` where it cannot be understood. */
bool postgres_denies(struct postgres *p, const struct pg_operation *op, struct pg_refusal *refused);
Chaperone__V1__Parameter **
postgres_arguments(struct postgres *p, const struct pg_function_call *call, size_t *out_count);
/* postgres_parse.c: `behind` is what is here of the bytes after the message. */
enum protocol_step postgres_parse(struct postgres *p, struct bytes message, struct bytes body,
                                  struct bytes behind);
/* The Parse of the Bind that is about to be sent, where there is one. */
enum protocol_step postgres_parse_send(struct postgres *p);
/* It was never sent; false: there is none. */
bool postgres_parse_take_back(struct postgres *p);
enum protocol_step postgres_bind(struct postgres *p, struct bytes message, struct bytes body,
                                 uint32_t body_size);

/* postgres_hold.c: operations that people decide about. */
/* What an approval of it covers. */
struct pg_binding {
    struct protocol_binding base; /* first */
    struct postgres *p;
    const struct pg_operation *op;
};
void postgres_bind_approval(struct postgres *p, const struct pg_operation *op,
                            struct pg_binding *out);
/* It is held: the agent is told, the target is asked for a prediction, people are asked. */
void postgres_hold(struct postgres *p, const struct pg_operation *op, bool may_hold_locks,
                   const struct protocol_hold *hold);
/* It will never be decided. */
void postgres_hold_forget(struct postgres *p, const char *why);

/* postgres_prediction.c: ends with link->ops->ask, now or when the target has answered. */
void postgres_prediction_start(struct postgres *p, const struct pg_operation *op,
                               bool may_hold_locks, const struct protocol_hold *hold);
/* The answer that is coming in is to a question of ours. */
bool postgres_prediction_is_running(const struct postgres *p);
/* A question of ours is not answered yet: nothing of the agent's may be sent behind it, or it would
 * become part of what is rolled back. Asks no more than is needed to tidy up, when the decision is
 * there already. */
bool postgres_prediction_blocks(struct postgres *p);
/* The agent does not want it any more: what the target is asked for is cancelled. */
void postgres_prediction_cancel(struct postgres *p);
enum protocol_step postgres_prediction_answer(struct postgres *p, uint8_t type,
                                              struct bytes message, struct bytes body);
void postgres_prediction_finish(struct postgres *p);

/* postgres_reading.c: the settings by which the target reads bytes. */
/* Why a text could be read differently here and there; NULL: it could not. */
extern const struct pg_refusal postgres_reading_refusal;
const char *postgres_reading_ambiguous(const struct postgres *p, struct bytes text);
/* Whether a text depends on settings that the batch it comes in may have changed. `*out_waits`:
 * the answers that will tell are on their way. */
bool postgres_reading_is_open(struct postgres *p, struct bytes text, bool *out_waits);
/* What may change settings was just put into the queue: a Parse, a Bind, an Execute; or a message
 * that is always taken to do so (Query, FunctionCall). */
void postgres_reading_parsed(struct postgres *p, struct bytes text);
void postgres_reading_bound(struct postgres *p, struct pg_portal *portal);
void postgres_reading_executed(struct postgres *p, const struct pg_portal *portal);
void postgres_reading_changed(struct postgres *p);
/* Why the bytes of a COPY in the plan could not be told apart; NULL: they can. */
const char *postgres_reading_copy(const struct postgres *p, const struct sql_analysis *a,
                                  const struct pg_plan *plan);
/* Nothing that may change the encoding was sent since the portal of a COPY was bound. */
bool postgres_reading_is_same(const struct postgres *p, const struct pg_portal *portal);

/* postgres_refuse.c: puts a message that fails in the place of the refused one. */
enum protocol_step postgres_refuse(struct postgres *p, uint8_t type,
                                   const struct pg_refusal *refusal);

/* postgres_target.c */
enum protocol_step postgres_target_bytes(struct postgres *p, struct bytes in, size_t *out_used);

/* postgres_outcome.c */
/* Forgets what was gathered of an answer. */
void postgres_answer_reset(struct postgres *p);
/* Bytes as the agent gets them: data goes into the digest, all into the recorded part, up to its
 * cap. */
void postgres_absorb(struct postgres *p, struct bytes b, bool is_data);
/* Writes the outcome of an operation; 0 operation: nothing. False: it could not be recorded. */
bool postgres_outcome(struct postgres *p, uint64_t operation, uint64_t intent_sequence,
                      int64_t started_ns, Chaperone__V1__Status status);
/* The same, without what the running answer has gathered: for one that is not being answered. */
bool postgres_outcome_alone(struct postgres *p, uint64_t operation, uint64_t intent_sequence,
                            Chaperone__V1__Status status);
/* For pg_names_clear: a portal that was never executed gets its outcome. */
void postgres_drop_portal(void *context, void *object);
/* Outcomes (unknown) for all that is still open. */
void postgres_abandon(struct postgres *p);

/* postgres_error.c */
/* Takes back what a skipped, failed or never sent message had changed in the maps. `behind`: where
 * in the queue the next batch begins. */
void postgres_take_back(struct postgres *p, struct pg_sent *sent, size_t behind);
/* The first message in the queue, from there on, that gives a name of that kind another meaning.
 * Borrows; NULL: none. */
struct pg_sent *postgres_find_naming(struct postgres *p, bool is_statement, struct bytes name,
                                     size_t from);
enum protocol_step postgres_on_error(struct postgres *p, struct bytes message, struct bytes body);
/* Cut where it does not fit, always terminated. */
void postgres_copy_text(char *out, size_t size, struct bytes text);

/* postgres_masking.c. */
bool postgres_masking_start(struct postgres *p, const Chaperone__V1__OpenSessionResponse *grant);
void postgres_masking_finish(struct postgres *p);
/* Before a message of the agent is looked at. PROTOCOL_WAIT: the target is being asked. */
enum protocol_step postgres_masking_prepare(struct postgres *p);
/* The catalog or the masks are new. */
void postgres_masking_mark(struct postgres *p);
/* This session changes the catalog, or what names mean in it. */
void postgres_masking_changed(struct postgres *p);
/* ReadyForQuery: statements are done. */
void postgres_masking_ready(struct postgres *p);
bool postgres_masking_is_outdated(const struct postgres *p);
/* Columns of this target are masked for this session. */
bool postgres_masking_is_by_column(const struct postgres *p);
/* The plan of an analysed text; owned reference; NULL: nothing is masked, or it is refused.
 * `has_names`: it runs what names stand for. */
struct pg_plan *postgres_masking_plan(struct postgres *p, struct bytes text,
                                      const struct sql_analysis *a, bool has_names,
                                      struct pg_refusal *refused);
/* Whether the catalog has to be asked again before this text is decided: it reads views, which
 * others may have redefined. Then the inquiry was started. */
bool postgres_masking_looks_again(struct postgres *p);
/* The same for a text that is only parsed now: what comes behind it cannot wait any more. */
bool postgres_masking_looks_ahead(struct postgres *p, struct bytes text);
/* To parse a text may be to run code: the masks' word about it, owned; NULL: they have none, or
 * `*refused` says why not. */
struct pg_plan *postgres_masking_parse(struct postgres *p, struct bytes text,
                                       struct pg_refusal *refused) MUST_USE;
/* False: a value of one of these types runs code of somebody's own where it is cast, and what that
 * reads is not known. */
bool postgres_masking_knows_types(const struct postgres *p, const uint32_t *types, size_t count);
bool postgres_masking_forbids_calls(struct postgres *p, struct pg_refusal *refused);

/* postgres_inquiry.c */
enum protocol_step postgres_inquiry_start(struct postgres *p);
bool postgres_inquiry_is_running(const struct postgres *p);
enum protocol_step postgres_inquiry_answer(struct postgres *p, uint8_t type, struct bytes body);

/* postgres_naming.c */
/* How often a name was given another meaning. */
uint64_t postgres_name_changes(const struct postgres *p);
/* Puts what EXECUTE and FETCH run in their place in `*analysis` (in scratch memory, valid until
 * postgres_forget_followed) and gives what the text does with names. False: it is not understood.
 */
bool postgres_follow_names(struct postgres *p, struct bytes text,
                           const struct sql_analysis **analysis, struct pg_effects **out);
void postgres_forget_followed(struct postgres *p);
/* Borrows; NULL: it is not known. */
struct pg_plan *postgres_named_plan(struct postgres *p, bool is_cursor, const char *name);
/* A statement of this message is done. */
void postgres_apply_names(struct postgres *p, const struct pg_sent *sent);

/* postgres_result.c: what the agent gets of an answer. */
/* A RowDescription of the head. False: it cannot be masked. */
bool postgres_result_describe(struct postgres *p, struct pg_sent *head, struct bytes body);
/* CopyOutResponse of the head. */
bool postgres_result_copy(struct postgres *p, struct pg_sent *head, struct bytes body);
/* Whether the rows of the head are looked at one by one. */
bool postgres_result_is_masked(const struct postgres *p, const struct pg_sent *head);
/* One whole data message, with its header; it may be changed where it stands. `*out_stays`: it goes
 * to the agent as it is then; otherwise what the agent gets of it, if anything, was appended to
 * p->masked. On failure nothing of it may be shown. */
enum err postgres_result_message(struct postgres *p, struct pg_sent *head, uint8_t type,
                                 uint8_t *message, size_t size, bool *out_stays);
/* The end of a statement's rows; false: they were not whole. */
bool postgres_result_end(struct postgres *p, struct pg_sent *head);
/* An error, a notice or a notification as the agent may see it: `message` itself, or one in
 * p->masked. Empty: no memory. */
struct bytes postgres_result_words(struct postgres *p, const struct pg_sent *head,
                                   struct bytes message, struct bytes body);
/* The same for a ParameterStatus. */
struct bytes postgres_result_setting(struct postgres *p, const struct pg_setting *setting,
                                     struct bytes message, bool *out_hides);
void postgres_result_reset(struct postgres *p);
/* Those by which the running answer is masked. Borrows; NULL: it is not. */
struct pg_masks *postgres_answer_masks(const struct postgres *p);

/* postgres_cancel.c: a cancel request to the target, on a second connection. */
void postgres_cancel(struct postgres *p);
enum protocol_step postgres_second_connected(struct postgres *p);
enum protocol_step postgres_second_secured(struct postgres *p);
enum protocol_step postgres_second_bytes(void *context, struct bytes in, size_t *out_used);

#endif
