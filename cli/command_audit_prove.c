/* audit prove: that one record is in the log. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/operator.pb-c.h"
#include "base/file.h"
#include "base/tlog/proof_file.h"
#include "cli/command_audit_log.h"
#include "cli/commands.h"
#include "formats/text.h"

const struct option_spec command_audit_prove_options[] = {
    {"out", 'o', OPTION_TEXT, "FILE", "write the proof there (C2SP tlog-proof)", NULL},
    {"record", 0, OPTION_TEXT, "FILE", "write the record's bytes there", NULL},
    {"log-key", 0, OPTION_TEXT, "KEY", "the log's verifier key (those that were kept)", NULL},
    {0},
};

/* --- which record ------------------------------------------------------------------------------
 */

struct wanted {
    const char *sidecar;
    size_t sidecar_size;
    uint64_t sequence;
    uint64_t position; /* 0: not found yet */
};

static bool parse_number(const char *text, uint64_t *out)
{
    char *rest = NULL;
    errno = 0;
    *out = strtoull(text, &rest, 10);
    return text[0] >= '1' && text[0] <= '9' && *rest == '\0' && errno == 0;
}

static bool on_entries(void *context, const ProtobufCMessage *message)
{
    struct wanted *w = context;
    const Chaperone__V1__SearchResponse *response = (const Chaperone__V1__SearchResponse *)message;
    for (size_t i = 0; i < response->n_entries; i++) {
        const Chaperone__V1__Entry *e = response->entries[i];
        if (e->sequence == w->sequence && strlen(e->sidecar) == w->sidecar_size &&
            memcmp(e->sidecar, w->sidecar, w->sidecar_size) == 0) {
            w->position = e->position;
            return false;
        }
    }
    return true;
}

/* The log has no index of it: it is read from its beginning until the record comes. */
static int find(struct invocation *i, struct audit_log *log, struct wanted *w)
{
    Chaperone__V1__SearchRequest request = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    struct client_end end;
    client_stream(log->remote.client, &chaperone__v1__audit__descriptor, "Search", &request.base,
                  on_entries, w, &end);
    if (w->position > 0) {
        return EXIT_YES;
    }
    int code = remote_exit(i, &log->remote, &end);
    return code == EXIT_YES
               ? command_fail(i, EXIT_NO, "no record %s in the audit log", i->options.arguments[0])
               : code;
}

static int read_argument(struct invocation *i, struct wanted *out)
{
    const char *text = i->options.arguments[0];
    const char *colon = strrchr(text, ':');
    struct err_text error = {0};
    if (colon == NULL ? parse_number(text, &out->position)
                      : colon > text && parse_number(colon + 1, &out->sequence)) {
        out->sidecar = text;
        out->sidecar_size = colon == NULL ? 0 : (size_t)(colon - text);
        return EXIT_YES;
    }
    (void)err_set(&error, ERR_INVALID,
                  "expected a position (1, 2, ...) or SIDECAR:SEQUENCE, found \"%.100s\"", text);
    return command_misuse(i, &error);
}

/* --- the proof ---------------------------------------------------------------------------------
 */

/* Of the answer nothing is believed but what can be checked here. */
static enum err check(const struct audit_log *log, uint64_t position,
                      const Chaperone__V1__ProveInclusionResponse *r, struct err_text *why)
{
    const Chaperone__V1__Entry *entry = r->entry;
    const struct tlog_trust trust = {
        .origin = log->kept.keys[0].name, .logs = log->kept.keys, .log_count = log->kept.key_count};
    struct tlog_hash hash;
    uint64_t index = 0;
    if (entry->hash.len != TLOG_HASH_SIZE || entry->position != position) {
        return err_set(why, ERR_DENIED, "the control plane answered with another record");
    }
    if (!entry->is_erased) {
        tlog_hash_leaf(bytes_of(entry->record.data, entry->record.len), &hash);
        if (memcmp(hash.bytes, entry->hash.data, TLOG_HASH_SIZE) != 0) {
            return err_set(why, ERR_DENIED, "the record is not the one whose hash is in the log");
        }
    }
    enum err e = tlog_proof_file_check(bytes_of_string(r->proof_file),
                                       bytes_of(entry->hash.data, entry->hash.len), &trust, &index,
                                       NULL, why);
    return e == OK && index != position - 1
               ? err_set(why, ERR_DENIED, "the proof is of another record")
               : e;
}

static int write_files(const struct invocation *i, const Chaperone__V1__ProveInclusionResponse *r)
{
    const char *out = options_value(&i->options, "out");
    const char *record = options_value(&i->options, "record");
    struct err_text why = {0};
    enum err e = OK;
    if (out != NULL) {
        e = file_replace(out, 0644, bytes_of_string(r->proof_file), &why);
    }
    if (e == OK && record != NULL && r->entry->is_erased) {
        e = err_set(&why, ERR_NOT_FOUND, "the record's content was erased; its proof is left");
    } else if (e == OK && record != NULL) {
        e = file_replace(record, 0644, bytes_of(r->entry->record.data, r->entry->record.len), &why);
    }
    return e == OK ? EXIT_YES : command_fail(i, EXIT_NO, "%s", why.text);
}

static int print(const struct invocation *i, const Chaperone__V1__ProveInclusionResponse *r)
{
    FILE *out = i->out.out;
    (void)fprintf(out, "position %" PRIu64 ": record %" PRIu64 " of ", r->entry->position,
                  r->entry->sequence);
    text_write(out, bytes_of_string(r->entry->sidecar), TEXT_ESCAPED);
    (void)fprintf(out, "%s\nhash ", r->entry->is_erased ? ", erased" : "");
    for (size_t n = 0; n < r->entry->hash.len; n++) {
        (void)fprintf(out, "%02x", r->entry->hash.data[n]);
    }
    (void)fprintf(out, "\nproved in the log of %" PRIu64 " records by %zu hashes\n",
                  r->checkpoint->size, r->n_proof);
    return remote_flush(i);
}

static int prove(struct invocation *i, struct audit_log *log, uint64_t position)
{
    Chaperone__V1__ProveInclusionRequest request = CHAPERONE__V1__PROVE_INCLUSION_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    struct believe_result result;
    struct err_text why = {0};
    request.position = position;
    int code = remote_call(i, &log->remote, &chaperone__v1__log__descriptor, "ProveInclusion",
                           &request.base, &reply);
    if (code != EXIT_YES) {
        return code;
    }
    const Chaperone__V1__ProveInclusionResponse *r =
        (const Chaperone__V1__ProveInclusionResponse *)reply;
    if (r->entry == NULL || r->checkpoint == NULL) {
        code = command_fail(i, EXIT_NO, "the control plane's answer is not whole");
    } else {
        code = audit_log_believe(i, log, r->checkpoint, &result);
    }
    if (code == EXIT_YES) {
        enum err e = check(log, position, r, &why);
        code = e == OK ? EXIT_YES : audit_log_alarm(i, log, r->checkpoint, e, &why);
    }
    code = code == EXIT_YES ? write_files(i, r) : code;
    code = code == EXIT_YES ? print(i, r) : code;
    protobuf_c_message_free_unpacked(reply, NULL);
    return code;
}

int command_audit_prove(struct invocation *i)
{
    struct wanted wanted = {.position = 0};
    struct audit_log log;
    int code = read_argument(i, &wanted);
    if (code != EXIT_YES) {
        return code;
    }
    code = audit_log_open(i, &log);
    if (code != EXIT_YES) {
        return code;
    }
    code = wanted.position > 0 ? EXIT_YES : find(i, &log, &wanted);
    code = code == EXIT_YES ? prove(i, &log, wanted.position) : code;
    audit_log_close(&log);
    return code;
}
