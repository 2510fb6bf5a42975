#include "cli/evidence/package.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/crypto/crypto.h"
#include "cli/evidence/package_internal.h"

enum { DATE_SIZE = sizeof("2026-11-21") - 1, ROOT_DIGITS = 8, UUID_DIGITS = 36, PROGRESS = 64 };

void package_folder(const Chaperone__V1__ExportHeader *header, char out[PACKAGE_FOLDER_SIZE])
{
    char date[CLOCK_RFC3339_SIZE], root[2 * COLLECTION_HASH_SIZE + 1];
    clock_format_rfc3339(header->made_unix_ns, date);
    crypto_hex_encode(bytes_of(header->checkpoint->root.data, COLLECTION_HASH_SIZE), root);
    (void)snprintf(out, PACKAGE_FOLDER_SIZE, "evidence-%.*s-%.*s", DATE_SIZE, date, ROOT_DIGITS,
                   root);
}

static bool is_uuid(const char *id)
{
    if (strlen(id) != UUID_DIGITS) {
        return false;
    }
    for (size_t i = 0; i < UUID_DIGITS; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? id[i] != '-' : strchr("0123456789abcdef", id[i]) == NULL) {
            return false;
        }
    }
    return true;
}

void package_id(const char *id, char out[PACKAGE_ID_SIZE])
{
    enum { DIGITS = 32 };
    uint8_t digest[CRYPTO_SHA256_SIZE];
    char hex[2 * CRYPTO_SHA256_SIZE + 1];
    if (is_uuid(id)) {
        (void)snprintf(out, PACKAGE_ID_SIZE, "%s", id);
        return;
    }
    crypto_sha256_of(bytes_of_string(id), digest);
    crypto_hex_encode(bytes_of(digest, sizeof(digest)), hex);
    (void)snprintf(out, PACKAGE_ID_SIZE, "x-%.*s", DIGITS, hex);
}

/* --- entries -----------------------------------------------------------------------------------
 */

enum err package_with(struct package *p, uint32_t number, package_entry_fn *fn, void *context)
{
    Chaperone__V1__Entry *entry = NULL;
    enum err e = collection_entry(p->with.collection, number, &entry);
    if (e != OK) {
        return e;
    }
    /* It could be read when it came. */
    Chaperone__V1__Record *record = record_unpack(entry);
    e = record == NULL ? ERR_NO_MEMORY : fn(context, number, entry, record);
    if (record != NULL) {
        chaperone__v1__record__free_unpacked(record, NULL);
    }
    chaperone__v1__entry__free_unpacked(entry, NULL);
    return e;
}

enum err package_each(struct package *p, const uint32_t *numbers, size_t count,
                      package_entry_fn *fn, void *context)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        e = package_with(p, numbers == NULL ? (uint32_t)i : numbers[i], fn, context);
        p->done++;
        if (e == OK && p->done % PROGRESS == 0 &&
            !p->with.on_progress(p->with.context, p->done, p->total)) {
            e = ERR_CLOSED;
        }
    }
    return e;
}

/* --- all of it ---------------------------------------------------------------------------------
 */

static uint64_t count_work(const struct package *p)
{
    enum { RECORD_FILES = 3, SESSION_FILES = 2 };
    struct collection *c = p->with.collection;
    uint64_t of_sessions = 0;
    for (size_t i = 0; i < collection_session_count(c); i++) {
        of_sessions += collection_session(c, i)->entries;
    }
    return RECORD_FILES * (uint64_t)collection_count(c) +
           (SESSION_FILES + (uint64_t)p->with.with_replay) * of_sessions;
}

enum err package_write(const struct package_options *options, struct err_text *why)
{
    static enum err (*const parts[])(struct package *) = {
        package_write_pages,    package_write_records, package_write_sample,
        package_write_sessions, package_write_context, package_write_manifest,
    };
    struct package p = {.with = *options, .why = why};
    enum err e = OK;
    p.total = count_work(&p);
    for (size_t i = 0; e == OK && i < sizeof(parts) / sizeof(parts[0]); i++) {
        e = options->on_progress(options->context, p.done, p.total) ? parts[i](&p) : ERR_CLOSED;
    }
    e = e == OK ? zip_finish(options->zip) : e;
    if (e != OK && e != ERR_CLOSED && why->text[0] == '\0') {
        (void)err_set(why, e, "%s",
                      e == ERR_IO || e == ERR_FULL ? zip_error(options->zip) : err_name(e));
    }
    return e;
}
