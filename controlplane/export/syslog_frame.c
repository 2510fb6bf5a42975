#include "controlplane/export/syslog_frame.h"

#include <stdio.h>

#include "base/clock.h"
#include "controlplane/audit/record.h"

enum {
    FACILITY_STEP = 8,
    VALUE_MAX = 100, /* of a value in structured data, before it is escaped */
};

int syslog_severity(enum store_audit_kind kind)
{
    switch (kind) {
    case STORE_FINDING:
    case STORE_LOSS: return SYSLOG_WARNING;
    case STORE_ACTION:
    case STORE_APPROVAL: return SYSLOG_NOTICE;
    case STORE_SESSION_OPENED:
    case STORE_INTENT:
    case STORE_OUTCOME:
    case STORE_SESSION_CLOSED:
    case STORE_HEARTBEAT:
    case STORE_MESSAGE: break;
    }
    return SYSLOG_INFO;
}

static bool is_ascii(struct bytes text)
{
    uint8_t all = 0;
    for (size_t i = 0; i < text.size; i++) {
        all |= text.data[i];
    }
    return all < 0x80;
}

/* The size of the well-formed UTF-8 sequence that begins here (RFC 3629 section 4); 0: none. */
static size_t sequence_size(const uint8_t *s, size_t left)
{
    size_t size = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (size == 0 || s[0] > 0xf4 || size > left) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool is_wrong = size > 2 && ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
                                 (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f));
    return is_wrong ? 0 : size;
}

/* Section 6.3.3: UTF-8 in which '"', '\' and ']' are escaped. Control characters, which would reach
 * somebody's terminal, and what is no UTF-8 become '?'. */
static enum err append_value(struct buffer *out, const char *name, const char *value)
{
    const uint8_t *s = (const uint8_t *)value;
    size_t left = strnlen(value, VALUE_MAX + 1);
    bool is_cut = left > VALUE_MAX;
    left = is_cut ? VALUE_MAX : left;
    enum err e = buffer_append_format(out, " %s=\"", name);
    while (e == OK && left > 0) {
        size_t size = sequence_size(s, left);
        bool is_plain = size > 0 && s[0] >= ' ' && s[0] != 0x7f;
        /* C1 controls are two bytes of UTF-8. */
        is_plain = is_plain && !(size == 2 && s[0] == 0xc2 && s[1] < 0xa0);
        if (is_plain && size == 1 && strchr("\"\\]", s[0]) != NULL) {
            e = buffer_append_string(out, "\\");
        }
        if (e == OK) {
            e = is_plain ? buffer_append(out, bytes_of(s, size)) : buffer_append_string(out, "?");
        }
        size = size == 0 ? 1 : size;
        s += size;
        left -= size;
    }
    if (e == OK && is_cut) {
        e = buffer_append_string(out, "...");
    }
    return e == OK ? buffer_append_string(out, "\"") : e;
}

static enum err append_data(struct buffer *out, const struct store_audit_entry *entry)
{
    enum err e = buffer_append_format(out, "[chaperone@32473 position=\"%llu\" sequence=\"%llu\"",
                                      (unsigned long long)entry->position,
                                      (unsigned long long)entry->sequence);
    const struct {
        const char *name, *value;
    } values[] = {{"sidecar", entry->sidecar},
                  {"session", entry->session},
                  {"identity", entry->identity},
                  {"resource", entry->resource}};
    for (size_t i = 0; e == OK && i < sizeof(values) / sizeof(values[0]); i++) {
        if (values[i].value[0] != '\0') {
            e = append_value(out, values[i].name, values[i].value);
        }
    }
    return e == OK ? buffer_append_string(out, "]") : e;
}

static enum err append_message(int facility, const char *hostname,
                               const struct store_audit_entry *entry, struct bytes text,
                               struct buffer *out)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf}; /* section 6.4 */
    char time[CLOCK_RFC3339_SIZE];
    const char *kind = audit_kind_word(entry->kind);
    clock_format_rfc3339(entry->key, time);
    enum err e = buffer_append_format(
        out, "<%d>1 %s %s chaperone - %s ", facility * FACILITY_STEP + syslog_severity(entry->kind),
        time, hostname[0] == '\0' ? "-" : hostname, kind[0] == '\0' ? "-" : kind);
    e = e == OK ? append_data(out, entry) : e;
    e = e == OK ? buffer_append_string(out, " ") : e;
    if (e == OK && !is_ascii(text)) {
        e = buffer_append(out, bytes_of(mark, sizeof(mark)));
    }
    return e == OK ? buffer_append(out, text) : e;
}

enum err syslog_frame_append(int facility, const char *hostname,
                             const struct store_audit_entry *entry, struct bytes text,
                             struct buffer *out)
{
    struct buffer message;
    size_t before = buffer_size(out);
    buffer_init(&message, text.size + SYSLOG_HEADER_MAX);
    enum err e = append_message(facility, hostname, entry, text, &message);
    if (e == OK) {
        e = buffer_append_format(out, "%zu ", buffer_size(&message));
    }
    if (e == OK) {
        e = buffer_append(out, buffer_bytes(&message));
    }
    if (e != OK) {
        out->end = out->start + before;
    }
    buffer_finish(&message);
    return e;
}
