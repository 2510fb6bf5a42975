/* A compiled policy: immutable, pure to evaluate.
 *
 * Deny overrides hold overrides allow; nothing that matches means deny, with the rule "default".
 * Every command and every object of every statement must be covered by an allow rule, or by a hold
 * rule that matches the operation (which is then held); different rules may cover different ones.
 * docs/policy.md describes the language.
 *
 * The document is the canonical JSON (conf_to_json) of what people write as YAML or JSON; control
 * plane and sidecar compile the same bytes. */
#ifndef CHAPERONE_POLICIES_POLICY_H
#define CHAPERONE_POLICIES_POLICY_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/conf/conf.h"

enum {
    /* A policy is reviewed by people; each rule is asked for each object of a statement. */
    POLICY_RULES_MAX = 4096,
    POLICY_NAME_SIZE_MAX = 64,
};

struct policy;

enum policy_effect { POLICY_DENY, POLICY_HOLD, POLICY_ALLOW };

/* As enum durability of the recorder (sidecar/audit/recorder.h), same order. */
enum policy_durability { POLICY_PROCESS, POLICY_HOST, POLICY_FLEET };

struct policy_object {
    const char *kind;   /* "table", "function", ... */
    const char *name;   /* as written, quoted where needed: `public.orders` */
    const char *access; /* "read", "insert", "unsafe_io", ... */
    /* The columns that this access may be about, without quotes; "*" stands for all of them. None:
     * the access is about no column (LOCK, DROP). */
    const char *const *columns;
    size_t column_count;
};

/* A claim of the agent's verified token: one for each scalar, with the path to it ("department",
 * "realm_access.roles"; the items of a list share their path). */
struct policy_claim {
    const char *path, *value;
};

struct policy_pair {
    const char *name, *value;
};

/* The body of a request, as far as rules can ask for it. */
enum policy_body {
    POLICY_BODY_NONE,
    POLICY_BODY_READ,   /* JSON or a form: its scalars are in `body` */
    POLICY_BODY_UNREAD, /* anything else, or larger than is looked at: a rule that asks for it is
                           met by a deny or hold rule, never by an allow rule */
};

/* A request of HTTP. */
struct policy_http {
    const char *method; /* "GET" */
    const char *host;   /* of the target, lower case, without the port */
    const char *path;   /* without the query; decoded once, without dot segments: "/customers/42" */
    const struct policy_pair *query; /* decoded */
    size_t query_count;
    const struct policy_pair *headers; /* names in lower case */
    size_t header_count;
    enum policy_body body_state;
    /* Scalars with their JSON pointers (RFC 6901): {"/items/0/price", "12.50"}; null is "null". Of
     * a form: "/name". */
    const struct policy_pair *body;
    size_t body_count;
    bool is_websocket;
};

/* What is asked. Everything is borrowed. */
struct policy_request {
    const char *subject;
    const char *const *groups;
    size_t group_count;
    const char *const *on_behalf_of; /* subjects */
    size_t on_behalf_of_count;
    const struct policy_claim *claims;
    size_t claim_count;
    const char *resource, *protocol;
    int64_t now_unix_s;          /* for time windows */
    const char *const *commands; /* "SELECT", one for each statement; may be none */
    size_t command_count;
    /* What the statements do, also where no object is named: "export", "load", "unsafe_io". */
    const char *const *accesses;
    size_t access_count;
    bool without_where; /* an UPDATE or DELETE of all rows, on any level */
    const struct policy_object *objects;
    size_t object_count;
    /* NULL: it is no request of HTTP. Else commands, accesses and objects are not looked at. */
    const struct policy_http *http;
};

/* How much is recorded of an allowed operation beside the operation itself. */
enum policy_record {
    POLICY_RECORD_FULL,       /* parameters, and results as the agent saw them */
    POLICY_RECORD_NO_RESULTS, /* of results only digest and counts */
    POLICY_RECORD_NO_VALUES,  /* of parameters neither */
};

enum {
    POLICY_HOLD_GROUPS_MAX = 16,
    POLICY_HOLD_PEOPLE_MAX = 8,
};

/* Who decides about a held operation, and how. Valid as long as the policy. Of several hold rules
 * that match an operation the first one decides: a policy's order is reviewed like the rest. */
struct policy_hold {
    const char *const *groups; /* of approvers: any of them; never empty */
    size_t group_count;
    uint32_t people;          /* distinct ones that must agree; 1 to POLICY_HOLD_PEOPLE_MAX */
    int64_t lifetime_s;       /* until it expires */
    int64_t in_transaction_s; /* the same while a transaction is open; at most lifetime_s */
    bool excludes_requester;
    bool needs_reason;
    bool is_retry;          /* the agent is sent away at once and comes again */
    int64_t retry_window_s; /* after approval */
    bool forbids_linked;    /* decisions through a linked chat account do not count */
    bool has_standing;      /* approvers may approve what comes after it, too */
    int64_t standing_s_max;
    uint32_t standing_uses_max;
    bool explains; /* the approver is shown the plan; default */
    bool runs_dry; /* and the exact count, of a run that is rolled back */
};

/* How often an identity may do what a rule lets through. Valid as long as the policy. */
struct policy_rate {
    const char *rule;
    uint32_t requests; /* at most so many */
    int64_t per_s;     /* in any time so long */
};

enum { POLICY_RATES_MAX = 8 /* of one verdict; more refuse it */ };

struct policy_verdict {
    enum policy_effect effect;
    const struct policy_hold *hold; /* POLICY_HOLD: its terms; else NULL */
    const char *rule;    /* its name; "default"; valid as long as the policy. Of several rules that
                          * allow: the one that asked for the durability */
    const char *message; /* for the agent; NULL or "": none; valid likewise */
    enum policy_durability durability;
    bool is_default_durability; /* POLICY_HOST because it lasts; no rule asks for as much itself */
    enum policy_record record;  /* of several rules: the least */
    uint64_t max_rows;          /* of several rules: the lowest; 0: no limit */
    /* What the rules in shadow would have decided, where it differs: NULL or the name of the rule.
     */
    const char *shadow_rule;
    enum policy_effect shadow_effect;
    /* Of HTTP. */
    const char *path; /* the pattern of the first rule that lets it through and has one:
                       * "/customers/{id}"; NULL: none has. Valid as long as the policy */
    uint64_t max_request_bytes, max_response_bytes; /* of several rules: the lowest; 0: no limit */
    struct policy_rate rates[POLICY_RATES_MAX]; /* all hold: of each covering rule that has one */
    size_t rate_count;
};

/* ---- masking ------------------------------------------------------------------------------- */

enum policy_redaction {
    POLICY_REDACT_NULL,
    POLICY_REDACT_FIXED,
    POLICY_REDACT_PARTIAL,
    POLICY_REDACT_HASH,
    POLICY_REDACT_DIGITS,
    POLICY_REDACT_DATE,
};

enum policy_date_unit { POLICY_YEAR, POLICY_MONTH, POLICY_DAY };

enum policy_unknown { POLICY_UNKNOWN_REFUSE, POLICY_UNKNOWN_NULL, POLICY_UNKNOWN_ALLOW };

struct policy_detector {
    const char *name;    /* of a built-in one ("email"), or the custom one's own */
    const char *pattern; /* NULL: built-in */
    bool is_caseless;
};

enum {
    POLICY_MASKS_MAX = 63, /* that apply to one session */
    POLICY_DETECTORS_MAX = 32,
};

/* One item of a rule's `mask`. Valid as long as the policy. What it names (columns, tags, types) is
 * asked with the functions below. */
struct policy_mask {
    const char *rule;    /* the name of its rule */
    const char *message; /* of its rule */
    enum policy_redaction redaction;
    const char *text;             /* FIXED */
    size_t keep_first, keep_last; /* PARTIAL */
    char mask_character;          /* PARTIAL; 0: the redactor's default */
    bool keep_separators;         /* PARTIAL */
    bool replace_letters;         /* DIGITS */
    const char *hash_key;         /* HASH, DIGITS: the key's name; "" by default */
    enum policy_date_unit unit;   /* DATE */
    /* By provenance. `refuse` is the default of all three. */
    bool names_columns; /* false: it is about content only */
    bool computed_null; /* a value computed from a masked one becomes NULL; else: refused */
    bool predicates;    /* masked columns may be used in WHERE, ON, ORDER BY, ... */
    enum policy_unknown unknown_origin;
    /* By content. */
    const struct policy_detector *detectors;
    size_t detector_count;
    /* Of HTTP: it names fields, pointers or headers. */
    bool names_http;
    const struct policy_mask_names *names; /* private */
};

/* Compiles a document. `revision` is what the control plane gave it. ERR_INVALID, ERR_LIMIT: `why`
 * says which rule and what was expected. Returns owned. */
enum err policy_compile(struct bytes document, uint64_t revision, struct policy **out,
                        struct err_text *why) MUST_USE;
/* The same from a tree, whose errors then name the line in the author's own file:
 * `FILE:LINE:COLUMN: rules[2].effect: expected one of ...`. Borrows the tree only for the call. */
enum err policy_compile_conf(const struct conf_node *root, uint64_t revision, struct policy **out,
                             struct err_text *why) MUST_USE;
void policy_destroy(struct policy *policy); /* takes NULL */

uint64_t policy_revision(const struct policy *policy);
/* Hex SHA-256 of the document, as the caller has verified it; "" until it was set. */
const char *policy_hash(const struct policy *policy);
void policy_set_hash(struct policy *policy, const char *hex);

/* Pure, without allocation. */
void policy_evaluate(const struct policy *policy, const struct policy_request *request,
                     struct policy_verdict *out);

/* The masks that hold for this identity, resource and time: those of every allow or hold rule that
 * matches these, whatever the statement; of `protocol` "postgres" and "http" without those of rules
 * that are about the other. Returns how many were written to `out`; false in
 * `*out_complete`: there are more than POLICY_MASKS_MAX, nothing may be shown. Pure. */
size_t policy_masks(const struct policy *policy, const struct policy_request *who,
                    const struct policy_mask *out[POLICY_MASKS_MAX], bool *out_complete);
/* Whether any rule of the policy masks at all. */
bool policy_has_masks(const struct policy *policy);
/* Whether a mask names this column: by name (also over its tags) or by its type. */
bool policy_mask_matches(const struct policy_mask *mask, const char *schema, const char *table,
                         const char *column, const char *type_name);
/* Whether a function's result shows nothing but its arguments, as the mask's rule declares. */
bool policy_mask_trusts(const struct policy_mask *mask, const char *schema, const char *function);

/* Keeps the mask and what it names beyond its policy, until it is released: an answer that is under
 * way is masked as it was decided. For the thread that the policy is destroyed on. */
void policy_mask_hold(const struct policy_mask *mask);
void policy_mask_release(const struct policy_mask *mask);

/* Of HTTP: a field's name at any depth of JSON, of a form or a query; a value's place as a JSON
 * pointer (RFC 6901; a pattern's `*` is any one step); a header's or trailer's name. Without regard
 * to case: a server that writes `Email` for `email` means the same. */
bool policy_mask_matches_field(const struct policy_mask *mask, struct bytes name);
bool policy_mask_matches_pointer(const struct policy_mask *mask, struct bytes pointer);
bool policy_mask_matches_header(const struct policy_mask *mask, struct bytes name);
/* Whether it names fields or pointers at all: what is in bodies and queries. */
bool policy_mask_names_fields(const struct policy_mask *mask);

/* Whether a rule that may be about this request asks for its body: then it has to be read before
 * the request is decided. `request->http->body_state` is not looked at. Pure. */
bool policy_reads_body(const struct policy *policy, const struct policy_request *request);

/* The document that allows everything (policies/library/allow-all.yaml). Static. */
const char *policy_allow_all(void);

#endif
