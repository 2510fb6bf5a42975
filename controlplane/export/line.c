#include "controlplane/export/line.h"

#include <stdio.h>
#include <stdlib.h>

#include "controlplane/audit/record.h"
#include "controlplane/audit/search.h"
#include "formats/ocsf.h"
#include "formats/record_json.h"

/* What was written into memory by stdio, as a line without its end. */
static enum err take_line(enum err e, char *text, size_t size, struct buffer *out)
{
    if (e == OK) {
        size -= size > 0 && text[size - 1] == '\n';
        e = buffer_append(out, bytes_of(text, size));
    }
    free(text);
    return e;
}

static enum err append_json(const Chaperone__V1__Entry *entry, const Chaperone__V1__Record *record,
                            bool rows, struct buffer *out)
{
    struct record_view view;
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (file == NULL) {
        return ERR_NO_MEMORY;
    }
    record_view_init(&view, entry, record);
    enum err e = record_json_write(file, &view, rows);
    e = fclose(file) == 0 ? e : ERR_NO_MEMORY;
    return take_line(e, text, size, out);
}

static const char *omission_name(enum export_omission why)
{
    static const char *const names[] = {[EXPORT_WHOLE] = "",
                                        [EXPORT_ERASED] = "erased",
                                        [EXPORT_UNREADABLE] = "unreadable",
                                        [EXPORT_TOO_LARGE] = "too_large",
                                        [EXPORT_REFUSED] = "refused"};
    return names[why];
}

/* A name may be as long as a record; what stands in for one must be small in any case. */
static struct bytes shortened(const char *text)
{
    enum { NAME_SHOWN_MAX = 200 };
    return bytes_of(text, strnlen(text, NAME_SHOWN_MAX));
}

static enum err append_omitted_json(const struct store_audit_entry *entry, enum export_omission why,
                                    struct buffer *out)
{
    struct json j;
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (file == NULL) {
        return ERR_NO_MEMORY;
    }
    json_init(&j);
    json_add_time(&j, j.root, "time", entry->key);
    json_add_string(&j, j.root, "kind", audit_kind_word(entry->kind));
    json_add_text(&j, j.root, "session", shortened(entry->session));
    json_add_unsigned(&j, j.root, "sequence", entry->sequence);
    json_add_text(&j, j.root, "identity", shortened(entry->identity));
    json_add_text(&j, j.root, "resource", shortened(entry->resource));
    json_add_text(&j, j.root, "sidecar", shortened(entry->sidecar));
    json_add_unsigned(&j, j.root, "position", entry->position);
    json_add_hex(&j, j.root, "hash", bytes_of(entry->hash, sizeof(entry->hash)));
    json_add_string(&j, j.root, "omitted", omission_name(why));
    json_add_unsigned(&j, j.root, "size", entry->canonical.size);
    enum err e = json_write_line(&j, file);
    json_finish(&j);
    e = fclose(file) == 0 ? e : ERR_NO_MEMORY;
    return take_line(e, text, size, out);
}

enum err export_line_append_omitted(const struct config_export *config,
                                    const struct store_audit_entry *entry, enum export_omission why,
                                    struct buffer *out)
{
    if (config->format != CONFIG_EXPORT_OCSF) {
        return append_omitted_json(entry, why, out);
    }
    struct store_audit_entry small = *entry;
    char texts[4][256];
    const char **const names[] = {&small.identity, &small.on_behalf_of, &small.resource,
                                  &small.protocol};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "%.*s", (int)shortened(*names[i]).size,
                       *names[i]);
        *names[i] = texts[i];
    }
    Chaperone__V1__Entry message;
    audit_search_entry(&small, &message);
    return ocsf_record(&message, NULL, out);
}

enum err export_line_append(const struct config_export *config,
                            const struct store_audit_entry *entry, size_t max, struct buffer *out,
                            enum export_omission *out_omitted)
{
    Chaperone__V1__Record *record =
        entry->is_erased
            ? NULL
            : chaperone__v1__record__unpack(NULL, entry->canonical.size, entry->canonical.data);
    enum export_omission omitted = entry->is_erased ? EXPORT_ERASED
                                   : record == NULL ? EXPORT_UNREADABLE
                                                    : EXPORT_WHOLE;
    size_t before = buffer_size(out);
    enum err e = OK;
    if (record != NULL) {
        Chaperone__V1__Entry message;
        audit_search_entry(entry, &message);
        e = config->format == CONFIG_EXPORT_OCSF ? ocsf_record(&message, record, out)
                                                 : append_json(&message, record, config->rows, out);
        chaperone__v1__record__free_unpacked(record, NULL);
        if (e == OK && buffer_size(out) - before > max) {
            out->end = out->start + before;
            omitted = EXPORT_TOO_LARGE;
        }
    }
    if (e == OK && omitted != EXPORT_WHOLE) {
        e = export_line_append_omitted(config, entry, omitted, out);
    }
    if (e == OK) {
        *out_omitted = omitted;
    }
    return e;
}
