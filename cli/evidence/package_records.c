/* The records themselves, the tiles that prove them, and the same records for reading. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/tlog/proof_file.h"
#include "cli/evidence/package_internal.h"
#include "formats/csv.h"
#include "formats/record_json.h"

enum {
    REC_FILE_SIZE = 64 << 20,
    REC_HEAD = 12,
    LINE_CAP = 64 << 20, /* a record has at most 1 MiB, and a cell may need more than it */
};

/* --- records/000000.rec ------------------------------------------------------------------------
 */

struct rec {
    struct package *p;
    FILE *out;
    uint64_t size;
    unsigned number;
};

static enum err open_rec(struct rec *r)
{
    char name[PACKAGE_NAME_SIZE];
    (void)snprintf(name, sizeof(name), "records/%06u.rec", r->number++);
    r->out = zip_begin(r->p->with.zip, name);
    r->size = 0;
    return r->out == NULL ? ERR_IO : OK;
}

static void put_big_endian(uint8_t *out, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)(value >> 8 * (size - 1 - i));
    }
}

static enum err put_rec(void *context, uint32_t number, const Chaperone__V1__Entry *entry,
                        const Chaperone__V1__Record *record)
{
    struct rec *r = context;
    uint8_t head[REC_HEAD];
    (void)number;
    (void)record;
    if (r->size >= REC_FILE_SIZE) {
        enum err e = zip_end(r->p->with.zip);
        e = e == OK ? open_rec(r) : e;
        if (e != OK) {
            return e;
        }
    }
    put_big_endian(head, entry->position, 8);
    put_big_endian(head + 8, entry->record.len, 4);
    const ProtobufCBinaryData *data = entry->record.len > 0 ? &entry->record : &entry->hash;
    (void)fwrite(head, 1, sizeof(head), r->out);
    (void)fwrite(data->data, 1, data->len, r->out);
    r->size += sizeof(head) + data->len;
    return ferror(r->out) == 0 ? OK : ERR_IO;
}

static enum err write_rec(struct package *p)
{
    struct rec r = {.p = p};
    enum err e = open_rec(&r);
    e = e == OK ? package_each(p, NULL, collection_count(p->with.collection), put_rec, &r) : e;
    enum err ended = r.out == NULL ? OK : zip_end(p->with.zip);
    return e == OK ? ended : e;
}

static enum err write_tiles(struct package *p)
{
    struct tiles *tiles = collection_tiles(p->with.collection);
    enum err e = OK;
    for (size_t i = 0; e == OK && i < tiles_count(tiles); i++) {
        e = tiles_write(tiles, i, p->with.zip);
    }
    return e;
}

/* --- for reading -------------------------------------------------------------------------------
 */

struct lines {
    FILE *out;
    struct buffer line; /* of CSV */
};

static enum err put_json(void *context, uint32_t number, const Chaperone__V1__Entry *entry,
                         const Chaperone__V1__Record *record)
{
    struct lines *l = context;
    struct record_view v;
    (void)number;
    record_view_init(&v, entry, record);
    enum err e = record_json_write(l->out, &v, false);
    return e == OK && ferror(l->out) != 0 ? ERR_IO : e;
}

static enum err put_csv(void *context, uint32_t number, const Chaperone__V1__Entry *entry,
                        const Chaperone__V1__Record *record)
{
    struct lines *l = context;
    (void)number;
    buffer_clear(&l->line);
    enum err e = csv_record(entry, entry->is_erased ? NULL : record, &l->line);
    if (e == OK) {
        struct bytes line = buffer_bytes(&l->line);
        (void)fwrite(line.data, 1, line.size, l->out);
    }
    return e == OK && ferror(l->out) != 0 ? ERR_IO : e;
}

static void add_masked(struct json *j, const Chaperone__V1__MaskingReceipt *receipt)
{
    cJSON *list = json_add_array(j, j->root, "masked");
    for (size_t i = 0; i < receipt->n_masked; i++) {
        const Chaperone__V1__MaskingReceipt__Masked *m = receipt->masked[i];
        cJSON *item = json_add_object(j, list, NULL);
        json_add_string(j, item, "rule", m->rule);
        json_add_string(j, item, "column", m->column);
        json_add_unsigned(j, item, "rows", m->rows);
        json_add_bool(j, item, "by_content", m->by_content);
    }
    json_add_unsigned(j, j->root, "withheld_messages", receipt->withheld_messages);
    json_add_unsigned(j, j->root, "rows_cut", receipt->rows_cut);
}

static enum err put_receipt(void *context, uint32_t number, const Chaperone__V1__Entry *entry,
                            const Chaperone__V1__Record *record)
{
    struct lines *l = context;
    struct json j;
    (void)number;
    json_init(&j);
    json_add_unsigned(&j, j.root, "position", entry->position);
    json_add_time(&j, j.root, "time", record->time_unix_ns);
    json_add_string(&j, j.root, "session", entry->session);
    json_add_unsigned(&j, j.root, "operation", record->outcome->operation);
    json_add_string(&j, j.root, "identity", entry->identity);
    json_add_string(&j, j.root, "resource", entry->resource);
    json_add_unsigned(&j, j.root, "rows", record->outcome->rows);
    add_masked(&j, record->outcome->masking);
    enum err e = json_write_line(&j, l->out);
    json_finish(&j);
    return e == OK && ferror(l->out) != 0 ? ERR_IO : e;
}

static enum err write_lines(struct package *p, const char *name, const uint32_t *numbers,
                            size_t count, package_entry_fn *fn, struct bytes header)
{
    struct lines l = {.out = zip_begin(p->with.zip, name)};
    if (l.out == NULL) {
        return ERR_IO;
    }
    buffer_init(&l.line, LINE_CAP);
    if (header.size > 0) {
        (void)fwrite(header.data, 1, header.size, l.out);
    }
    enum err e = package_each(p, numbers, count, fn, &l);
    buffer_finish(&l.line);
    enum err ended = zip_end(p->with.zip);
    return e == OK ? ended : e;
}

static enum err write_csv(struct package *p, const char *name, const uint32_t *numbers,
                          size_t count)
{
    struct buffer header;
    buffer_init(&header, 4096);
    enum err e = csv_header(&header);
    e = e == OK ? write_lines(p, name, numbers, count, put_csv, buffer_bytes(&header)) : e;
    buffer_finish(&header);
    return e;
}

enum err package_write_records(struct package *p)
{
    struct collection *c = p->with.collection;
    size_t receipts = 0, count = collection_count(c);
    const uint32_t *list = collection_list(c, COLLECTION_RECEIPTS, &receipts);
    enum err e = write_rec(p);
    e = e == OK ? write_tiles(p) : e;
    e = e == OK ? write_lines(p, "records.jsonl", NULL, count, put_json, (struct bytes){0}) : e;
    e = e == OK ? write_csv(p, "records.csv", NULL, count) : e;
    p->total += receipts; /* what is left stays right */
    return e == OK ? write_lines(p, "masking.jsonl", list, receipts, put_receipt, (struct bytes){0})
                   : e;
}

/* --- the sample --------------------------------------------------------------------------------
 */

struct proving {
    struct package *p;
    struct tlog_reader reader;
    struct tlog_hash root;
    uint64_t size;
    struct bytes note;
};

/* The entry of the log is the record's hash; its leaf the hash of that (api/audit.proto). */
static enum err prove(const struct proving *v, const Chaperone__V1__Entry *entry,
                      struct tlog_proof_file *out)
{
    struct tlog_hash leaf;
    tlog_hash_leaf(record_bytes(entry->hash), &leaf);
    *out = (struct tlog_proof_file){.index = entry->position - 1, .note = v->note};
    enum err e = tlog_tree_prove_inclusion(&v->reader, v->size, out->index, &out->proof);
    if (e == OK && !tlog_tree_check_inclusion(&out->proof, v->size, out->index, &leaf, &v->root)) {
        e = err_set(v->p->why, ERR_INVALID,
                    "the record at position %" PRIu64 " is not the one that is in the log",
                    entry->position);
    }
    return e;
}

static enum err put_proof(void *context, uint32_t number, const Chaperone__V1__Entry *entry,
                          const Chaperone__V1__Record *record)
{
    struct proving *v = context;
    struct tlog_proof_file proof;
    struct buffer file;
    char name[PACKAGE_NAME_SIZE];
    (void)number;
    (void)record;
    buffer_init(&file, TLOG_PROOF_FILE_MAX);
    (void)snprintf(name, sizeof(name), "proofs/%" PRIu64 ".tlog-proof", entry->position);
    enum err e = prove(v, entry, &proof);
    e = e == OK ? tlog_proof_file_format(&proof, (struct bytes){0}, &file) : e;
    e = e == OK ? zip_add(v->p->with.zip, name, buffer_bytes(&file)) : e;
    buffer_finish(&file);
    return e;
}

static enum err write_proofs(struct package *p, const uint32_t *numbers, size_t count)
{
    const Chaperone__V1__Checkpoint *checkpoint = collection_header(p->with.collection)->checkpoint;
    struct tlog_tile_reader *reader = NULL;
    enum err e = tlog_tile_reader_create(tiles_source(collection_tiles(p->with.collection)),
                                         checkpoint->size, &reader);
    if (e == OK) {
        struct proving v = {.p = p,
                            .reader = tlog_tile_reader_as_reader(reader),
                            .size = checkpoint->size,
                            .note = bytes_of_string(checkpoint->note)};
        memcpy(v.root.bytes, checkpoint->root.data, sizeof(v.root.bytes));
        e = package_each(p, numbers, count, put_proof, &v);
    }
    tlog_tile_reader_destroy(reader);
    return e;
}

enum err package_write_sample(struct package *p)
{
    struct sample *sample = collection_sample(p->with.collection);
    if (sample == NULL) {
        return OK;
    }
    size_t count = sample_count(sample);
    uint32_t *numbers = malloc((count + 1) * sizeof(*numbers));
    if (numbers == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        numbers[i] = sample_get(sample, i);
    }
    p->total += 2 * count;
    enum err e = write_csv(p, "sample.csv", numbers, count);
    e = e == OK ? write_proofs(p, numbers, count) : e;
    free(numbers);
    return e;
}
