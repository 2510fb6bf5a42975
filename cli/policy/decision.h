/* What a policy says to a text of SQL: the way a sidecar decides, without a sidecar.
 *
 * What only a session knows is not known here: its client_encoding and
 * standard_conforming_strings are taken to be the server's defaults. */
#ifndef CHAPERONE_CLI_POLICY_DECISION_H
#define CHAPERONE_CLI_POLICY_DECISION_H

#include "base/bytes.h"
#include "cli/dev/identity_option.h"
#include "cli/policy/masking.h"
#include "policies/policy.h"

struct decision;

/* One command or object of the text, and what is said about it alone. Strings are valid until the
 * decision is destroyed, and those of the verdict as long as the policy. */
struct decision_part {
    size_t statement; /* from 1 */
    bool is_command;
    const char *access, *kind, *name; /* of a command: "", "", its tag */
    struct policy_verdict verdict;
};

/* Borrows the policy, the identity and `masking` (NULL: what would be masked is not asked for, nor
 * what is refused because of it). A text that is no SQL is decided too: it is refused. Returns
 * owned. ERR_NO_MEMORY. */
enum err decision_make(const struct policy *policy, const struct identity_option *as,
                       const char *resource, struct masking *masking, const char *sql,
                       struct decision **out) MUST_USE;
void decision_destroy(struct decision *d); /* takes NULL */

const struct policy_verdict *decision_verdict(const struct decision *d);
size_t decision_part_count(const struct decision *d);
const struct decision_part *decision_part(const struct decision *d, size_t index);

/* What would be masked of what the text gives: nothing where it is refused. Valid likewise. */
const struct masking_result *decision_masking(const struct decision *d);

/* "allow", "deny", "hold". */
const char *decision_effect_name(enum policy_effect effect);

/* "sub=NAME,groups=A+B,on_behalf_of=C"; as identity_option_parse, but without `groups` it has none.
 * `option` names it in errors. */
enum err decision_parse_identity(const char *option, const char *text, struct identity_option *out,
                                 struct err_text *error) MUST_USE;

#endif
