#include "cli/evidence/lines.h"

#include "formats/csv.h"
#include "formats/ocsf.h"
#include "formats/record_json.h"

static enum err put(FILE *out, const struct buffer *line, const char *end)
{
    struct bytes bytes = buffer_bytes(line);
    if (bytes.size > 0) {
        (void)fwrite(bytes.data, 1, bytes.size, out);
    }
    (void)fputs(end, out);
    return ferror(out) == 0 ? OK : ERR_IO;
}

enum err lines_begin(FILE *out, enum lines_format format, struct buffer *scratch)
{
    buffer_clear(scratch);
    enum err e = format == LINES_CSV ? csv_header(scratch) : OK;
    return e == OK ? put(out, scratch, "") : e;
}

static enum err write_record(FILE *out, enum lines_format format, const Chaperone__V1__Entry *entry,
                             const Chaperone__V1__Record *record, struct buffer *scratch)
{
    struct record_view v;
    const Chaperone__V1__Record *content = entry->is_erased ? NULL : record;
    enum err e = OK;
    buffer_clear(scratch);
    switch (format) {
    case LINES_JSON:
        record_view_init(&v, entry, record);
        e = record_json_write(out, &v, false);
        return e == OK && ferror(out) != 0 ? ERR_IO : e;
    case LINES_CSV:
        e = csv_record(entry, content, scratch);
        return e == OK ? put(out, scratch, "") : e;
    case LINES_OCSF:
    default: e = ocsf_record(entry, content, scratch); return e == OK ? put(out, scratch, "\n") : e;
    }
}

enum err lines_write(FILE *out, enum lines_format format, const Chaperone__V1__Entry *entry,
                     struct buffer *scratch)
{
    Chaperone__V1__Record *record = record_unpack(entry);
    if (record == NULL) {
        return ERR_INVALID;
    }
    enum err e = write_record(out, format, entry, record, scratch);
    chaperone__v1__record__free_unpacked(record, NULL);
    return e;
}
