/* How an operation is decided, step by step; for this folder only. */
#ifndef CHAPERONE_POLICIES_DECIDE_H
#define CHAPERONE_POLICIES_DECIDE_H

#include "policies/policy_object.h"

/* The rules that are about this identity, resource and time, by what they do. */
struct applicable {
    const struct policy *policy;
    bool is_http;
    bool with_shadow;
    bool left_out; /* a rule in shadow applies, but was not taken */
    size_t cover_count, forbid_count;
    /* Those that let through, and those that stop. A hold rule is among the former only when it has
     * stopped this very operation: what it lets through is then held. */
    uint16_t cover[POLICY_RULES_MAX], forbid[POLICY_RULES_MAX];
    /* Of `forbid`. */
    bool is_whole[POLICY_RULES_MAX]; /* names a command of the text; all it touches counts */
    bool has_stopped[POLICY_RULES_MAX];
};

/* What is asked, as a whole. */
struct question {
    const struct policy_request *r;
    uint32_t accesses;       /* of everything */
    uint32_t without_object; /* those that no object shows */
    bool is_unknown;         /* something was not understood: nothing covers it */
    bool is_lasting;
};

/* ---- rules that stop: deny and hold ----------------------------------------------------- */

struct forbidding {
    size_t deny, hold; /* the first such rule; SIZE_MAX: none */
    bool fixes_path;   /* names without a schema must stay what they are */
};

/* Decides the rules without names; those that have to see each object stay in `a->forbid`. */
void forbid_text(struct applicable *a, const struct question *q, struct forbidding *f);
void forbid_object(struct applicable *a, const struct target *t, struct forbidding *f);
/* Those of the rules with names that have stopped something let through what they name. */
void forbid_cover_held(struct applicable *a);
void forbidding_add(struct forbidding *f, const struct policy *p, size_t rule);
bool tag_listed(const struct rule *rule, const char *command);

/* ---- rules that let through: allow, and hold where it has stopped ------------------------- */

/* What the rules that cover something ask for together: the same whatever their order. */
struct cover {
    size_t rule; /* the first that asks for the level; SIZE_MAX: nothing was covered */
    enum policy_durability level;
    enum policy_durability asked; /* the strongest that rules name; without them it is less */
    enum policy_record record;
    uint64_t max_rows;
    bool is_held; /* hold rules count */
    const char *why_not;
    /* Of HTTP. */
    const char *path;
    uint64_t max_request_bytes, max_response_bytes;
    uint16_t rates[POLICY_RATES_MAX]; /* rules */
    size_t rate_count;
};

void cover_take(struct cover *c, const struct policy *p, size_t index, bool is_lasting);
void cover_object(const struct applicable *a, const struct question *q, const struct target *t,
                  struct cover *c);
void cover_text(const struct applicable *a, const struct question *q, struct cover *c);

/* ---- requests of HTTP --------------------------------------------------------------------- */

void question_read_http(const struct policy_request *r, struct question *q);
void forbid_http(struct applicable *a, const struct question *q, struct forbidding *f);
void cover_http(const struct applicable *a, const struct question *q, struct cover *c);
/* What the rule that holds it asks for, whether it covers it or not. */
void cover_http_held(struct cover *c, const struct policy *p, size_t index);
void http_obligations_put(const struct cover *c, const struct policy *p, struct policy_verdict *v);

#endif
