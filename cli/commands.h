/* The table of all commands. */
#ifndef CHAPERONE_CLI_COMMANDS_H
#define CHAPERONE_CLI_COMMANDS_H

#include "cli/command.h"

/* The order is that of the help; commands of a group stand together. */
extern const struct command commands[];

/* What the first words of a command line name. */
struct commands_match {
    const struct command *command; /* NULL: none */
    const char *group;             /* "audit", when only the group is there; or NULL */
    int words;                     /* that were taken from argv */
};
/* `argv` ends with NULL. */
struct commands_match commands_find(char **argv);

/* "unknown command "adit"; did you mean audit?" */
void commands_explain_unknown(char **argv, struct err_text *error);

int command_approvals_approve(struct invocation *i);
int command_approvals_deny(struct invocation *i);
int command_approvals_link(struct invocation *i);
int command_approvals_list(struct invocation *i);
int command_approvals_revoke(struct invocation *i);
int command_approvals_show(struct invocation *i);
int command_approvals_standing(struct invocation *i);
int command_approvals_unlink(struct invocation *i);
int command_approvals_watch(struct invocation *i);
int command_audit_export(struct invocation *i);
int command_audit_jobs(struct invocation *i);
int command_audit_reconcile(struct invocation *i);
int command_audit_replay(struct invocation *i);
int command_audit_completeness(struct invocation *i);
int command_audit_legal_hold(struct invocation *i);
int command_audit_retention(struct invocation *i);
int command_audit_checkpoint(struct invocation *i);
int command_audit_prove(struct invocation *i);
int command_audit_search(struct invocation *i);
int command_audit_show(struct invocation *i);
int command_audit_tail(struct invocation *i);
int command_audit_verify(struct invocation *i);
int command_completion(struct invocation *i);
int command_dev(struct invocation *i);
int command_join_token_create(struct invocation *i);
int command_login(struct invocation *i);
int command_logout(struct invocation *i);
int command_policy_check(struct invocation *i);
int command_policy_diff(struct invocation *i);
int command_policy_explain(struct invocation *i);
int command_policy_list(struct invocation *i);
int command_policy_push(struct invocation *i);
int command_policy_replay(struct invocation *i);
int command_policy_rollback(struct invocation *i);
int command_policy_show(struct invocation *i);
int command_policy_status(struct invocation *i);
int command_policy_test(struct invocation *i);
int command_run(struct invocation *i);
int command_session_blocks(struct invocation *i);
int command_session_kill(struct invocation *i);
int command_session_lift(struct invocation *i);
int command_session_list(struct invocation *i);
int command_sidecar_list(struct invocation *i);
int command_sidecar_revoke(struct invocation *i);
int command_status(struct invocation *i);
int command_whoami(struct invocation *i);
int command_witness(struct invocation *i);

extern const struct option_spec command_approvals_approve_options[];
extern const struct option_spec command_approvals_deny_options[];
extern const struct option_spec command_approvals_list_options[];
extern const struct option_spec command_approvals_revoke_options[];
extern const struct option_spec command_approvals_standing_options[];
extern const struct option_spec command_approvals_watch_options[];
extern const struct option_spec command_audit_checkpoint_options[];
extern const struct option_spec command_audit_completeness_options[];
extern const struct option_spec command_audit_export_options[];
extern const struct option_spec command_audit_legal_hold_options[];
extern const struct option_spec command_audit_options[];
extern const struct option_spec command_audit_prove_options[];
extern const struct option_spec command_audit_reconcile_options[];
extern const struct option_spec command_audit_replay_options[];
extern const struct option_spec command_audit_show_options[];
extern const struct option_spec command_audit_verify_options[];
extern const struct option_spec command_dev_options[];
extern const struct option_spec command_join_token_options[];
extern const struct option_spec command_json_options[];
extern const struct option_spec command_login_options[];
extern const struct option_spec command_logout_options[];
extern const struct option_spec command_policy_explain_options[];
extern const struct option_spec command_policy_list_options[];
extern const struct option_spec command_policy_publish_options[];
extern const struct option_spec command_policy_replay_options[];
extern const struct option_spec command_run_options[];
extern const struct option_spec command_session_kill_options[];
extern const struct option_spec command_session_lift_options[];
extern const struct option_spec command_session_list_options[];
extern const struct option_spec command_sidecar_revoke_options[];
extern const struct option_spec command_witness_options[];

#endif
