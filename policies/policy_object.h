/* What a rule says of one object of a request; for this folder only. */
#ifndef CHAPERONE_POLICIES_OBJECT_H
#define CHAPERONE_POLICIES_OBJECT_H

#include "policies/policy_internal.h"

enum kind_group {
    KIND_TABLE,
    KIND_FUNCTION,
    KIND_TYPE,
    KIND_SCHEMA,
    KIND_SESSION, /* this session's own things */
    KIND_OTHER,
};

/* An object of the request, read once for all rules. */
struct target {
    enum kind_group group;
    uint32_t access;
    bool moves_search_path; /* after it, names without a schema mean something else */
    struct plain_name name;
    const struct policy_object *object;
};

void target_read(const struct policy_object *o, struct target *out);

/* Whether a rule that allows or holds lets this be done to it. */
bool rule_covers(const struct rule *rule, const struct target *t);
/* The same of reading it, where these accesses to it are covered as well. */
bool rule_covers_beside(const struct rule *rule, const struct target *t, uint32_t beside);
/* Whether a forbidding rule with names is about it; `all_accesses`: whatever is done to it. */
bool rule_names(const struct rule *rule, const struct target *t, bool all_accesses);

#endif
