#include "cli/verify/trust.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli/verify/json_read.h"

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',';
}

static enum err add(struct tlog_verifier *keys, size_t *count, enum tlog_key_type type,
                    struct bytes text, struct err_text *why)
{
    struct tlog_verifier key;
    enum err e = tlog_verifier_parse(text, &key, why);
    if (e != OK) {
        return e;
    }
    if (key.type != type) {
        return err_set(why, ERR_INVALID, "the key of %s is %s", key.name,
                       type == TLOG_KEY_ED25519 ? "a witness's, not a log's"
                                                : "a log's, not a witness's");
    }
    if (*count == TRUST_KEYS_MAX) {
        return err_set(why, ERR_INVALID, "more than %d keys", TRUST_KEYS_MAX);
    }
    keys[(*count)++] = key;
    return OK;
}

static enum err add_all(struct tlog_verifier *keys, size_t *count, enum tlog_key_type type,
                        struct bytes text, struct err_text *why)
{
    enum err e = OK;
    bool line_begins = true;
    size_t at = 0;
    while (e == OK && at < text.size) {
        if (is_space(text.data[at])) {
            line_begins = line_begins || text.data[at] == '\n';
            at++;
            continue;
        }
        size_t end = at;
        bool is_comment = line_begins && text.data[at] == '#';
        while (end < text.size &&
               (is_comment ? text.data[end] != '\n' : !is_space(text.data[end]))) {
            end++;
        }
        if (!is_comment) {
            e = add(keys, count, type, bytes_of(text.data + at, end - at), why);
        }
        line_begins = false;
        at = end;
    }
    return e;
}

enum err trust_add_logs(struct trust *t, struct bytes text, struct err_text *why)
{
    return add_all(t->logs, &t->log_count, TLOG_KEY_ED25519, text, why);
}

enum err trust_add_witnesses(struct trust *t, struct bytes text, struct err_text *why)
{
    return add_all(t->witnesses, &t->witness_count, TLOG_KEY_COSIGNATURE, text, why);
}

static void copy_out(const struct tlog_checkpoint *c, const struct tlog_checkpoint_seal *seal,
                     struct trust_checkpoint *out)
{
    out->size = c->size;
    out->root = c->root;
    out->witnesses = seal->witnesses;
    out->earliest = seal->earliest;
    (void)snprintf(out->origin, sizeof(out->origin), "%.*s", (int)c->origin.size,
                   (const char *)c->origin.data);
}

/* What is said, without being believed: so that the rest can be looked at too. */
static void read_unbelieved(struct bytes note, struct trust_checkpoint *out)
{
    struct tlog_note parsed;
    struct tlog_checkpoint checkpoint;
    struct tlog_checkpoint_seal none = {0};
    if (tlog_note_parse(note, &parsed, NULL) == OK &&
        tlog_checkpoint_parse(parsed.text, &checkpoint, NULL) == OK) {
        copy_out(&checkpoint, &none, out);
    }
}

enum err trust_open(const struct trust *t, const char *what, struct bytes note, const char *origin,
                    struct trust_checkpoint *out, struct report *report)
{
    struct tlog_trust trust = {.logs = t->logs,
                               .log_count = t->log_count,
                               .witnesses = t->witnesses,
                               .witness_count = t->witness_count,
                               .quorum = t->has_quorum ? t->quorum : t->witness_count};
    struct tlog_checkpoint checkpoint;
    struct tlog_checkpoint_seal seal = {0};
    struct err_text why = {0};
    trust.origin = origin != NULL ? origin : t->log_count > 0 ? t->logs[0].name : "";
    enum err e = tlog_checkpoint_open(note, &trust, &checkpoint, &seal, &why);
    if (e == OK) {
        copy_out(&checkpoint, &seal, out);
        return OK;
    }
    read_unbelieved(note, out);
    report_add(report, REPORT_SIGNATURE, 0, "%s is not to be believed: %s", what,
               why.text[0] == '\0' ? err_name(e) : why.text);
    return ERR_DENIED;
}

static enum err compute_proof(const struct trust_checkpoint *kept,
                              const struct trust_checkpoint *newer, struct tlog_tile_source source,
                              struct tlog_proof *out)
{
    struct tlog_tile_reader *reader = NULL;
    enum err e = tlog_tile_reader_create(source, newer->size, &reader);
    if (e == OK) {
        struct tlog_reader hashes = tlog_tile_reader_as_reader(reader);
        e = tlog_tree_prove_consistency(&hashes, newer->size, kept->size, out);
    }
    tlog_tile_reader_destroy(reader);
    return e;
}

void trust_compare(const struct trust_checkpoint *kept, const struct trust_checkpoint *newer,
                   struct tlog_tile_source source, struct report *report)
{
    struct tlog_proof proof = {0};
    if (strcmp(kept->origin, newer->origin) != 0) {
        report_add(report, REPORT_FORKED, 0, "the checkpoint that was kept is of another log: %s",
                   kept->origin);
    } else if (kept->size > newer->size) {
        report_add(report, REPORT_OLDER, 0,
                   "the checkpoint is older than the one that was kept: %" PRIu64
                   " records, and %" PRIu64 " were known",
                   newer->size, kept->size);
    } else if (compute_proof(kept, newer, source, &proof) != OK) {
        report_add(report, REPORT_UNCHECKED, 0,
                   "whether the log goes on from the checkpoint that was kept cannot be found out: "
                   "the tiles for it are not here");
    } else if (!tlog_tree_check_consistency(&proof, newer->size, kept->size, &newer->root,
                                            &kept->root)) {
        report_add(report, REPORT_FORKED, 0,
                   "the log does not go on from the checkpoint that was kept: its first %" PRIu64
                   " records are others",
                   kept->size);
    }
}

static bool read_list(const cJSON *root, const char *key, struct tlog_verifier *keys, size_t *count,
                      enum tlog_key_type type, struct err_text *why)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, key), *item;
    bool good = cJSON_IsArray(list);
    cJSON_ArrayForEach(item, list)
    {
        good = good && cJSON_IsString(item) &&
               add(keys, count, type, bytes_of_string(item->valuestring), why) == OK;
    }
    return good;
}

enum err trust_read_keys(struct bytes json, struct trust *out, char *out_origin,
                         struct report *report)
{
    static const char *const keys[] = {"origin", "log_keys", "witness_keys", NULL};
    struct err_text why = {0};
    const char *origin = NULL;
    cJSON *root = json_read(json);
    bool good = json_read_has_keys(root, keys) && json_read_string(root, "origin", &origin) &&
                strlen(origin) <= TLOG_ORIGIN_MAX &&
                read_list(root, "log_keys", out->logs, &out->log_count, TLOG_KEY_ED25519, &why) &&
                read_list(root, "witness_keys", out->witnesses, &out->witness_count,
                          TLOG_KEY_COSIGNATURE, &why);
    if (good) {
        (void)snprintf(out_origin, TLOG_ORIGIN_MAX + 1, "%s", origin);
    } else {
        report_add(report, REPORT_MALFORMED, 0, "keys.json is not as it must be%s%s",
                   why.text[0] == '\0' ? "" : ": ", why.text);
    }
    cJSON_Delete(root);
    return good ? OK : ERR_INVALID;
}
