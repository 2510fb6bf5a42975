#include "cli/commands.h"

static const char search_details[] =
    "Prints the records that match, oldest first; with --limit the newest of them. All conditions\n"
    "must hold. In a pipe, a record is a line with tabs between: time, kind, session, identity,\n"
    "resource, verdict or status, what. Exit code 1: nothing matched.";

static const char dev_details[] =
    "Starts a control plane, a sidecar and an OIDC issuer for development, with everything they\n"
    "write under DIR, and prints one line `ready: psql ...` when clients can connect. Ctrl-C "
    "stops\n"
    "them; the same DIR resumes them, and then needs no other option. The password in the URL is\n"
    "kept in DIR/upstream.password, readable by its owner only. Without --policy everything is\n"
    "allowed and recorded.";

static const char run_details[] =
    "Runs COMMAND with a sidecar beside it, for a CI job or a local agent: PGHOST and PGPORT lead\n"
    "to the sidecar, on a free port of the loopback interface unless the file names an address.\n"
    "Exits with the command's own code (128 + n for signal n, 126 and 127 as a shell does); 125 "
    "when\n"
    "the sidecar cannot be started.";

static const char login_details[] =
    "In the browser of this machine (authorization code with PKCE, on a loopback port), or where "
    "there\n"
    "is none or with --device, with a code that is entered in a browser elsewhere. The tokens are\n"
    "kept for this control plane below ~/.local/state/chaperone, readable by their owner only; "
    "every\n"
    "command that talks to it uses them, and renews them when they run out. issuer, client_id,\n"
    "issuer_ca, scope and audience may stand in ~/.config/chaperone/config.yaml. Exit code 1: "
    "refused.";

static const char replay_details[] =
    "Decides each recorded statement again, by FILE, as of the time it was run and for whom it "
    "was\n"
    "run, and shows where that differs from what was decided: grouped by statement, with its\n"
    "constants replaced, and identity. Changes are no error. What masking would add is not "
    "replayed:"
    "\nit depends on the target's catalog.";

static const char audit_checkpoint_details[] =
    "A checkpoint is a C2SP signed note: how many records the log has, their Merkle root, and the\n"
    "signatures of the log and of its witnesses. The log's keys and the newest checkpoint are "
    "kept\n"
    "below ~/.local/state/chaperone/logs at the first time; every later one must be signed with a "
    "kept\n"
    "key and be proved to continue the kept one. Exit code 1 and ALARM: it does not.";

static const char audit_prove_details[] =
    "Asks for the proof, and checks it here: record, hash, Merkle path, signature, and that the\n"
    "checkpoint continues what was kept. With --out the proof can be checked by others, offline.\n"
    "SIDECAR:SEQUENCE reads the log from its beginning until it has found the record.";

static const char audit_verify_details[] =
    "PATH is an evidence package (a zip file, or the folder it was unpacked into) or a log's "
    "directory:\n"
    "offline, nothing is asked of anybody. Without PATH all records are asked of the control plane "
    "and\n"
    "checked here. Checks signatures, witnesses, every hash up to the root, every record, the "
    "streams,\n"
    "the manifest, and says which record is wrong and how (docs/verify.md). Exit code 0: whole, 1: "
    "wrong,\n"
    "2: it could not be checked.";

static const char audit_export_details[] =
    "A package (zip) has the records, the tiles and the checkpoint that prove them, sessions as "
    "text, "
    "data and\n"
    "recordings, approvals, policies, masking receipts, and an index.html to begin with; "
    "docs/evidence.md\n"
    "lists it, `chaperone audit verify` checks it. With --sample N --seed TEXT also N records that "
    "anybody can\n"
    "draw again, each with a proof. The export itself is recorded.";

static const char audit_replay_details[] =
    "Shows the conversation as `audit show` does, each record when it was its time. Keys on a "
    "terminal:\n"
    "space pauses and goes on, the arrows go to the next statement and the one before, / searches "
    "and n\n"
    "searches on, + and - change the speed, q ends. --export writes an asciicast v3 for "
    "asciinema's "
    "players,\n"
    "with a marker at each statement. --into executes the recorded statements again, in a database "
    "that is\n"
    "there for it, and says of each whether its result is the recorded one. Exit code 1: one is "
    "not, or it\n"
    "cannot be told.";

static const char completeness_details[] =
    "Reads every record and prints what is missing: numbers of a sidecar's stream, hashes and\n"
    "signatures that do not fit, sidecars that were silent, operations without an outcome, "
    "sessions\n"
    "without an end, losses. Operations that were held and never released are not meant. Exit code "
    "1:\nsomething is missing.";

static const char reconcile_details[] =
    "Reads a csvlog or jsonlog (log_statement = all, or log_min_duration_statement = 0, or "
    "pgaudit; "
    "in\n"
    "UTC) and prints what was executed that the audit does not have, which went around the "
    "sidecar, and\n"
    "what the audit has that the log does not. Matched by text, database user and database, in "
    "order of\n"
    "time. Exit code 1: the two do not agree.";

static const char legal_hold_details[] =
    "Content that a hold is about is not erased: that of sessions on a resource, of an agent or a "
    "person\n"
    "for whom agents act, or of one session. What was erased before does not come back. Placing "
    "and\n"
    "lifting need the role admin, and both are recorded with their reason.";

#define EXAMPLES(...)                                                                              \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static const char session_kill_details[] =
    "Running statements are cancelled on the target, agents get an error in their own protocol, "
    "and the\n"
    "audit log says who ordered it, when, and when it was done. With --identity, --resource or "
    "--all,\n"
    "wherever the sessions run, new ones are refused until `chaperone session lift`; a sidecar "
    "that is\n"
    "away ends its sessions when it is back. Exit code 1: there is no such session, or not all "
    "have\n"
    "confirmed.";

static const char sidecar_revoke_details[] =
    "Its certificate counts for nothing from then on, nobody can enrol its key again, what it runs "
    "ends, and\n"
    "the audit log takes nothing more of it: what it had not shipped yet is lost. It cannot be "
    "undone; the\n"
    "host is set up anew, with a new key (docs/controlplane.md). SIDECAR may be shortened to a "
    "beginning that\n"
    "no other one has. Once more changes nothing. Exit code 1: there is no such sidecar, or it has "
    "not\n"
    "confirmed that its sessions have ended.";

static const char witness_details[] =
    "Signs checkpoints of other people's logs (C2SP tlog-witness), each only when it extends the "
    "one that\n"
    "it signed before: a log cannot show one history to one reader and another to the next. DIR "
    "has its\n"
    "key, made at the first start, and what it has signed: never copy it, never bring it back "
    "from a\n"
    "backup. It signs for the logs of --log and of the file DIR/logs, a line each: the log's "
    "verifier key,\n"
    "and behind a space its origin where that is not the key's name. SIGHUP reads the file again.";

const struct command commands[] = {
    {
        .name = "dev",
        .arguments = "",
        .summary = "Run everything on this machine, for development",
        .details = dev_details,
        .examples = EXAMPLES(
            "chaperone dev --dir ./stack --listen 127.0.0.1:6432 "
            "--upstream postgres://app:secret@127.0.0.1:5432/shop",
            "chaperone dev --dir ./stack  # go on with what is in the directory",
            "chaperone dev --dir ./stack --policy policy.yaml --identity sub=ci,groups=agents+ops"),
        .options = command_dev_options,
        .run = command_dev,
    },
    {
        .name = "run",
        .arguments = "-- COMMAND [ARGUMENT...]",
        .summary = "Run a command with a sidecar beside it",
        .details = run_details,
        .examples = EXAMPLES("chaperone run --config sidecar.yaml -- psql -c 'select 1'",
                             "chaperone run --config ci.yaml --resource shop -- make test"),
        .options = command_run_options,
        .takes_rest = true,
        .run = command_run,
    },
    {
        .name = "login",
        .arguments = "",
        .summary = "Log in with your OpenID provider",
        .details = login_details,
        .examples = EXAMPLES("chaperone login",
                             "chaperone login --server chaperone.example:7443 --issuer "
                             "https://id.example --client-id chaperone-cli",
                             "chaperone login --device  # over ssh"),
        .options = command_login_options,
        .run = command_login,
    },
    {
        .name = "logout",
        .arguments = "",
        .summary = "Forget the login, and revoke it at the issuer",
        .details = "Exit code 1: nobody was logged in there.",
        .examples = EXAMPLES("chaperone logout"),
        .options = command_logout_options,
        .run = command_logout,
    },
    {
        .name = "whoami",
        .arguments = "",
        .summary = "Show who the control plane will take you for",
        .details = "What the token says that commands use now, and where it comes from. It is not "
                   "checked here:\n"
                   "that is for the control plane.",
        .examples = EXAMPLES("chaperone whoami", "chaperone whoami --json | jq -r .subject"),
        .options = command_json_options,
        .connects = true,
        .run = command_whoami,
    },
    {
        .name = "approvals list",
        .arguments = "",
        .summary = "List the operations that wait for people",
        .examples = EXAMPLES("chaperone approvals list", "chaperone approvals list --all --json"),
        .options = command_approvals_list_options,
        .connects = true,
        .run = command_approvals_list,
    },
    {
        .name = "approvals show",
        .arguments = "ID",
        .summary = "Show a held operation: who, why, what it would do",
        .details = "ID may be shortened to a beginning that no other one has. What the agent says "
                   "of itself is\n"
                   "marked `declared`, what a token proves `verified`.",
        .examples = EXAMPLES("chaperone approvals show 0192f3a4"),
        .options = command_json_options,
        .arguments_min = 1,
        .arguments_max = 1,
        .connects = true,
        .run = command_approvals_show,
    },
    {
        .name = "approvals approve",
        .arguments = "ID",
        .summary = "Agree that a held operation runs, once",
        .details = "It is released as soon as enough people agree. With --standing-for, and where "
                   "the policy allows\n"
                   "it, the same statement with other values passes until then, too. Exit code 1: "
                   "you may not, or\n"
                   "it does not wait any more, or it has changed.",
        .examples =
            EXAMPLES("chaperone approvals approve 0192f3a4 --reason 'ticket 4711'",
                     "chaperone approvals approve 0192f3a4 --standing-for 1h --standing-uses 5"),
        .options = command_approvals_approve_options,
        .arguments_min = 1,
        .arguments_max = 1,
        .connects = true,
        .run = command_approvals_approve,
    },
    {
        .name = "approvals deny",
        .arguments = "ID",
        .summary = "Refuse a held operation; one person's no is enough",
        .examples = EXAMPLES("chaperone approvals deny 0192f3a4 --reason 'not on a Friday'"),
        .options = command_approvals_deny_options,
        .arguments_min = 1,
        .arguments_max = 1,
        .connects = true,
        .run = command_approvals_deny,
    },
    {
        .name = "approvals watch",
        .arguments = "",
        .summary = "Follow held operations: what waits, then every change",
        .details = "A connection that is lost is made again, and nothing is missed in between. "
                   "With --json each\n"
                   "line has a cursor, behind which --after goes on another time.",
        .examples =
            EXAMPLES("chaperone approvals watch", "chaperone approvals watch --json --after 1234"),
        .options = command_approvals_watch_options,
        .connects = true,
        .run = command_approvals_watch,
    },
    {
        .name = "approvals standing",
        .arguments = "",
        .summary = "List what was approved for later, too, and still stands",
        .details = "LEFT says how often it lets something through yet. Newest first, all of them; "
                   "with --all also\n"
                   "those that stand no more. `approvals revoke` ends one.",
        .examples = EXAMPLES("chaperone approvals standing",
                             "chaperone approvals standing --identity agent-7 --json | jq -r .id"),
        .options = command_approvals_standing_options,
        .connects = true,
        .run = command_approvals_standing,
    },
    {
        .name = "approvals revoke",
        .arguments = "ID",
        .summary = "End a standing approval at once",
        .details = "ID is that of `approvals standing`, and may be shortened. What comes after it "
                   "is held again, for\n"
                   "people to decide. For those who may decide under its rule, and for admins. "
                   "Revoking it once more\n"
                   "changes nothing. Exit code 1: you may not, or there is none.",
        .examples = EXAMPLES("chaperone approvals revoke 0192f3a4 --reason 'it was the wrong job'"),
        .options = command_approvals_revoke_options,
        .arguments_min = 1,
        .arguments_max = 1,
        .connects = true,
        .run = command_approvals_revoke,
    },
    {
        .name = "approvals link",
        .arguments = "CODE",
        .summary = "Link a chat account, whose bot showed the code, to your login",
        .details = "From then on its buttons decide as you, with the groups of this login, until "
                   "the link ends.\n"
                   "Never enter a code that somebody else sent you.",
        .examples = EXAMPLES("chaperone approvals link KX7Q-4M2P"),
        .options = command_json_options,
        .arguments_min = 1,
        .arguments_max = 1,
        .connects = true,
        .run = command_approvals_link,
    },
    {
        .name = "approvals unlink",
        .arguments = "PROVIDER ACCOUNT",
        .summary = "Remove the link of a chat account",
        .examples = EXAMPLES("chaperone approvals unlink slack T0123/U0456"),
        .options = command_json_options,
        .arguments_min = 2,
        .arguments_max = 2,
        .connects = true,
        .run = command_approvals_unlink,
    },
    {
        .name = "audit search",
        .arguments = "",
        .summary = "Find records in the audit log",
        .details = search_details,
        .examples = EXAMPLES("chaperone audit search --identity dev-agent --since 2h",
                             "chaperone audit search --table customers --verdict deny",
                             "chaperone audit search --path '/customers/{id}' --since 1h",
                             "chaperone audit search --kind intent --json | jq -r .text"),
        .options = command_audit_options,
        .connects = true,
        .run = command_audit_search,
    },
    {
        .name = "audit show",
        .arguments = "SESSION",
        .summary = "Show a session as a conversation, with times",
        .examples = EXAMPLES("chaperone audit show 0192f3a4-5b6c-7d8e-9f00-112233445566",
                             "chaperone audit show SESSION --operations",
                             "chaperone audit show SESSION --operation 7 --rows 50"),
        .options = command_audit_show_options,
        .arguments_min = 1,
        .arguments_max = 1,
        .connects = true,
        .run = command_audit_show,
    },
    {
        .name = "audit replay",
        .arguments = "SESSION",
        .summary = "Show a session again at its own pace, export it, or execute it again",
        .details = audit_replay_details,
        .examples =
            EXAMPLES("chaperone audit replay SESSION --speed 4 --idle-limit 2",
                     "chaperone audit replay SESSION --export session.cast",
                     "chaperone audit replay SESSION --into postgres://me@db.example/sandbox"),
        .options = command_audit_replay_options,
        .arguments_min = 1,
        .arguments_max = 1,
        .connects = true,
        .run = command_audit_replay,
    },
    {
        .name = "audit tail",
        .arguments = "",
        .summary = "Follow the audit log as it grows",
        .details = "Prints the records that match from --since on (without it: from now on), and "
                   "then each\n"
                   "new one, until Ctrl-C.",
        .examples = EXAMPLES("chaperone audit tail", "chaperone audit tail --verdict deny --json"),
        .options = command_audit_options,
        .connects = true,
        .run = command_audit_tail,
    },
    {
        .name = "audit checkpoint",
        .arguments = "",
        .summary = "Print the log's signed head, and check that it continues what was kept",
        .details = audit_checkpoint_details,
        .examples = EXAMPLES("chaperone audit checkpoint --save monday.checkpoint",
                             "chaperone audit checkpoint --since monday.checkpoint"),
        .options = command_audit_checkpoint_options,
        .connects = true,
        .run = command_audit_checkpoint,
    },
    {
        .name = "audit prove",
        .arguments = "POSITION|SIDECAR:SEQUENCE",
        .summary = "Prove that a record is in the log",
        .details = audit_prove_details,
        .examples = EXAMPLES("chaperone audit prove 4711 --out 4711.tlog-proof"),
        .options = command_audit_prove_options,
        .arguments_min = 1,
        .arguments_max = 1,
        .connects = true,
        .run = command_audit_prove,
    },
    {
        .name = "audit completeness",
        .arguments = "",
        .summary = "Say what is missing from the audit log",
        .details = completeness_details,
        .examples = EXAMPLES("chaperone audit completeness --since 7d",
                             "chaperone audit completeness --json | jq -r .kind"),
        .options = command_audit_completeness_options,
        .connects = true,
        .run = command_audit_completeness,
    },
    {
        .name = "audit verify",
        .arguments = "[PATH]",
        .summary = "Check an evidence package or a log: whole, and what was logged",
        .details = audit_verify_details,
        .examples = EXAMPLES("chaperone audit verify october.zip --log-key log.pub",
                             "chaperone audit verify october.zip --log-key log.pub --witness-key "
                             "witnesses.pub --quorum 2 --checkpoint kept.note --json"),
        .options = command_audit_verify_options,
        .arguments_max = 1,
        .connects = true,
        .run = command_audit_verify,
    },
    {
        .name = "audit export",
        .arguments = "",
        .summary = "Export records with what proves and explains them, as one file",
        .details = audit_export_details,
        .examples =
            EXAMPLES("chaperone audit export --since 30d --resource orders --out october.zip",
                     "chaperone audit export --since 90d --sample 25 --seed 'audit 2026 Q4' "
                     "--out q4.zip",
                     "chaperone audit export --since 1d --format ocsf --out -"),
        .options = command_audit_export_options,
        .connects = true,
        .run = command_audit_export,
    },
    {
        .name = "audit jobs",
        .arguments = "",
        .summary = "Show the export jobs: how far they are, and what fails",
        .details = "Exits with 1 while a job fails. BEHIND counts records of the log that a job "
                   "has yet to\ndo, FOR says how long the oldest of them has been there.",
        .examples = EXAMPLES("chaperone audit jobs",
                             "chaperone audit jobs --json | jq 'select(.lag_records > 1000)'"),
        .options = command_json_options,
        .connects = true,
        .run = command_audit_jobs,
    },
    {
        .name = "audit reconcile",
        .arguments = "",
        .summary = "Compare the audit log with what PostgreSQL says it executed",
        .details = reconcile_details,
        .examples = EXAMPLES("chaperone audit reconcile --postgres-log postgresql.csv --user app",
                             "chaperone audit reconcile --postgres-log postgresql.json --resource "
                             "shop --since 1d"),
        .options = command_audit_reconcile_options,
        .connects = true,
        .run = command_audit_reconcile,
    },
    {
        .name = "audit legal-hold",
        .arguments = "add|lift|list [HOLD]",
        .summary = "Keep content whatever the retention says, and end that",
        .details = legal_hold_details,
        .examples =
            EXAMPLES("chaperone audit legal-hold add --identity agent-7 --reason 'case 2026-31'",
                     "chaperone audit legal-hold list --all",
                     "chaperone audit legal-hold lift HOLD --reason 'case 2026-31 is closed'"),
        .options = command_audit_legal_hold_options,
        .arguments_min = 1,
        .arguments_max = 2,
        .connects = true,
        .run = command_audit_legal_hold,
    },
    {
        .name = "audit retention",
        .arguments = "",
        .summary = "Show how long content is kept, and what would be erased now",
        .examples = EXAMPLES("chaperone audit retention"),
        .options = command_json_options,
        .connects = true,
        .run = command_audit_retention,
    },
    {
        .name = "session list",
        .arguments = "",
        .summary = "List the sessions that are open",
        .examples = EXAMPLES("chaperone session list", "chaperone session list --all --json"),
        .options = command_session_list_options,
        .connects = true,
        .run = command_session_list,
    },
    {
        .name = "session kill",
        .arguments = "[SESSION]",
        .summary = "End sessions, cancel what they are running, refuse new ones",
        .details = session_kill_details,
        .examples = EXAMPLES("chaperone session kill SESSION --reason 'wrong table'",
                             "chaperone session kill --identity agent-7 --reason 'runs wild'",
                             "chaperone session kill --resource orders --allow-new",
                             "chaperone session kill --all --yes"),
        .options = command_session_kill_options,
        .arguments_max = 1,
        .connects = true,
        .run = command_session_kill,
    },
    {
        .name = "session lift",
        .arguments = "[BLOCK]",
        .summary = "Allow new sessions again after a kill",
        .details = "Lifts one block, or all that were set for exactly this identity, this resource "
                   "or all sessions.\n"
                   "Exit code 1: there is none.",
        .examples = EXAMPLES("chaperone session lift --identity agent-7 --reason 'it was fixed'",
                             "chaperone session lift BLOCK"),
        .options = command_session_lift_options,
        .arguments_max = 1,
        .connects = true,
        .run = command_session_lift,
    },
    {
        .name = "session blocks",
        .arguments = "",
        .summary = "List what refuses new sessions",
        .examples = EXAMPLES("chaperone session blocks"),
        .options = command_json_options,
        .connects = true,
        .run = command_session_blocks,
    },
    {
        .name = "policy check",
        .arguments = "FILE...",
        .summary = "Check policy files",
        .examples = EXAMPLES("chaperone policy check policy.yaml"),
        .options = command_json_options,
        .arguments_min = 1,
        .arguments_max = 4,
        .run = command_policy_check,
    },
    {
        .name = "policy test",
        .arguments = "DIR",
        .summary = "Run the golden cases of policies",
        .details =
            "Every .yaml, .yml and .json file of DIR names a policy and lists cases: who says "
            "which SQL, and\n"
            "what must come of it. Prints `ok` or `not ok` for each. Exit code 1: one failed.",
        .examples = EXAMPLES("chaperone policy test policies/tests"),
        .options = command_json_options,
        .arguments_min = 1,
        .arguments_max = 1,
        .run = command_policy_test,
    },
    {
        .name = "policy explain",
        .arguments = "[SQL]",
        .summary = "Say which rule decides about a statement or a request, and why",
        .details = "Decides as a sidecar does, for each command and each object alone and for the "
                   "text as a whole. With --catalog also which columns of its result are masked.\n"
                   "With --http it is about a request, which is read as a sidecar reads it.\n"
                   "Exit code 1: it is refused, or held for approval.",
        .examples =
            EXAMPLES("chaperone policy explain --as sub=ann,groups=analysts 'SELECT * FROM orders'",
                     "chaperone policy explain --as sub=bot --file new.yaml --resource shop 'DROP "
                     "TABLE orders'",
                     "chaperone policy explain --as sub=bot --resource crm --http 'DELETE "
                     "https://api.internal/orders/7'"),
        .options = command_policy_explain_options,
        .arguments_min = 0,
        .arguments_max = 1,
        .connects = true,
        .run = command_policy_explain,
    },
    {
        .name = "policy push",
        .arguments = "FILE",
        .summary = "Publish a policy",
        .details = "It becomes the newest revision, which every sidecar gets at once and uses from "
                   "the next operation\n"
                   "on, also on open connections. The same policy again makes no revision.",
        .examples = EXAMPLES(
            "chaperone policy push policy.yaml --message 'analysts read orders'",
            "chaperone policy push policy.yaml --expect 7  # refused if somebody pushed since"),
        .options = command_policy_publish_options,
        .arguments_min = 1,
        .arguments_max = 1,
        .connects = true,
        .run = command_policy_push,
    },
    {
        .name = "policy replay",
        .arguments = "FILE",
        .summary = "Say what a policy would have decided on recorded operations",
        .details = replay_details,
        .examples = EXAMPLES("chaperone policy replay new.yaml --since 7d",
                             "chaperone policy replay new.yaml --resource shop --json"),
        .options = command_policy_replay_options,
        .arguments_min = 1,
        .arguments_max = 1,
        .connects = true,
        .run = command_policy_replay,
    },
    {
        .name = "policy list",
        .arguments = "",
        .summary = "List the revisions of the policy, newest first",
        .examples = EXAMPLES("chaperone policy list", "chaperone policy list --json --limit 1"),
        .options = command_policy_list_options,
        .connects = true,
        .run = command_policy_list,
    },
    {
        .name = "policy show",
        .arguments = "[REV]",
        .summary = "Print a revision as it was pushed; without REV the newest",
        .examples = EXAMPLES("chaperone policy show 3 > policy.yaml"),
        .options = command_json_options,
        .arguments_min = 0,
        .arguments_max = 1,
        .connects = true,
        .run = command_policy_show,
    },
    {
        .name = "policy diff",
        .arguments = "REV REV",
        .summary = "Compare two revisions as they were pushed",
        .details = "A unified diff; nothing when they are the same text.",
        .examples = EXAMPLES("chaperone policy diff 3 4"),
        .options = command_json_options,
        .arguments_min = 2,
        .arguments_max = 2,
        .connects = true,
        .run = command_policy_diff,
    },
    {
        .name = "policy rollback",
        .arguments = "REV",
        .summary = "Publish an old revision again, as a new one",
        .examples = EXAMPLES("chaperone policy rollback 3 --message 'the bot cannot log in'"),
        .options = command_policy_publish_options,
        .arguments_min = 1,
        .arguments_max = 1,
        .connects = true,
        .run = command_policy_rollback,
    },
    {
        .name = "policy status",
        .arguments = "",
        .summary = "Show how far each sidecar is with the newest revision",
        .details = "published: not sent yet; delivered: sent; active: in use; rejected: the last "
                   "good one stays in use.",
        .examples = EXAMPLES("chaperone policy status"),
        .options = command_json_options,
        .connects = true,
        .run = command_policy_status,
    },
    {
        .name = "status",
        .arguments = "",
        .summary = "Show the control plane and its sidecars",
        .examples = EXAMPLES("chaperone status --dir ./stack"),
        .options = command_json_options,
        .connects = true,
        .run = command_status,
    },
    {
        .name = "sidecar list",
        .arguments = "",
        .summary = "List the sidecars: who enrolled them, until when, what they run",
        .details = "SINCE is when it connected, when it was last seen (`away`), or when it was "
                   "revoked. SESSIONS are\n"
                   "the open ones, as far as the audit log knows.",
        .examples = EXAMPLES("chaperone sidecar list",
                             "chaperone sidecar list --json | jq 'select(.state == \"away\")'"),
        .options = command_json_options,
        .connects = true,
        .run = command_sidecar_list,
    },
    {
        .name = "sidecar revoke",
        .arguments = "SIDECAR",
        .summary = "Revoke a sidecar for good: one whose host is not trusted any more",
        .details = sidecar_revoke_details,
        .examples = EXAMPLES("chaperone sidecar revoke 0192f3a4 --reason 'the laptop was stolen'"),
        .options = command_sidecar_revoke_options,
        .arguments_min = 1,
        .arguments_max = 1,
        .connects = true,
        .run = command_sidecar_revoke,
    },
    {
        .name = "join-token create",
        .arguments = "",
        .summary = "Make a token that enrols one sidecar, once",
        .details = "Prints the token and nothing else, so that it can be put into a file.",
        .examples = EXAMPLES("chaperone join-token create --name ci-runner-7 > join.token"),
        .options = command_join_token_options,
        .connects = true,
        .run = command_join_token_create,
    },
    {
        .name = "witness",
        .arguments = "",
        .summary = "Be a witness for other people's logs",
        .details = witness_details,
        .examples = EXAMPLES(
            "chaperone witness --dir /var/lib/witness --name witness.example/w1 --show-key",
            "chaperone witness --dir /var/lib/witness --listen 127.0.0.1:7460 "
            "--log log.example/audit+8d3f...",
            "chaperone witness --dir ./w --listen [::]:443 --tls-cert w.pem --tls-key w.key"),
        .options = command_witness_options,
        .run = command_witness,
    },
    {
        .name = "completion",
        .arguments = "bash|zsh|fish",
        .summary = "Print a completion script for a shell",
        .details = "bash: source <(chaperone completion bash)\n"
                   "zsh:  source <(chaperone completion zsh)\n"
                   "fish: chaperone completion fish | source",
        .arguments_min = 1,
        .arguments_max = 1,
        .run = command_completion,
    },
    {0},
};
