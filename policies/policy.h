/* A compiled policy: immutable, pure to evaluate.
 *
 * Deny overrides hold overrides allow; nothing that matches means deny, with the rule "default".
 * Every command and every object of every statement must be covered by an allow rule; different
 * rules may cover different ones. docs/policy.md describes the language.
 *
 * The document is the canonical JSON (conf_to_json) of what people write as YAML or JSON; control
 * plane and sidecar compile the same bytes. */
#ifndef CHAPERONE_POLICIES_POLICY_H
#define CHAPERONE_POLICIES_POLICY_H

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
};

/* What is asked. Everything is borrowed. */
struct policy_request {
    const char *subject;
    const char *const *groups;
    size_t group_count;
    const char *const *on_behalf_of; /* subjects */
    size_t on_behalf_of_count;
    const char *resource, *protocol;
    const char *const *commands; /* "SELECT", one for each statement; may be none */
    size_t command_count;
    const struct policy_object *objects;
    size_t object_count;
};

struct policy_verdict {
    enum policy_effect effect;
    const char *rule;    /* its name; "default"; valid as long as the policy. Of several rules that
                          * allow: the one that asked for the durability */
    const char *message; /* for the agent; NULL or "": none; valid likewise */
    enum policy_durability durability;
};

/* Compiles a document. `revision` is what the control plane gave it. ERR_INVALID, ERR_LIMIT: `why`
 * says which rule and what was expected. Returns owned. */
enum err policy_compile(struct bytes document, uint64_t revision, struct policy **out,
                        struct err_text *why) MUST_USE;
/* The same from a tree, whose errors then name the line in the author's own file:
 * `FILE:LINE: rules[2].effect: expected one of ...`. Borrows the tree only for the call. */
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

/* The document that allows everything (policies/library/allow-all.yaml). Static. */
const char *policy_allow_all(void);

#endif
