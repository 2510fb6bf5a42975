/* What a control plane may send, whatever it is: a package of it is written, or it is refused. The
 * input is parts, each packed behind its size (16 bits, big-endian). */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crypto/crypto.h"
#include "base/cursor.h"
#include "cli/evidence/package.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Entries get their hash and a position, so that what is behind these checks is reached. */
static void mend(Chaperone__V1__ExportPart *part)
{
    static const uint8_t zero = 0;
    bool is_entries = part->part_case == CHAPERONE__V1__EXPORT_PART__PART_ENTRIES;
    for (size_t i = 0; is_entries && i < part->entries->n_entries; i++) {
        Chaperone__V1__Entry *e = part->entries->entries[i];
        struct crypto_sha256 hash;
        if (e->hash.len != CRYPTO_SHA256_SIZE) {
            continue;
        }
        crypto_sha256_init(&hash);
        crypto_sha256_update(&hash, bytes_of(&zero, 1));
        crypto_sha256_update(&hash, bytes_of(e->record.data, e->record.len));
        crypto_sha256_finish(&hash, e->hash.data);
        e->is_erased = e->record.len == 0;
    }
}

static bool on_progress(void *context, uint64_t done, uint64_t total)
{
    (void)context;
    return done <= total;
}

static void write_package(struct collection *c)
{
    static Chaperone__V1__SearchRequest filter = CHAPERONE__V1__SEARCH_REQUEST__INIT;
    static Chaperone__V1__ExportRequest request = CHAPERONE__V1__EXPORT_REQUEST__INIT;
    struct err_text why = {.text = ""};
    struct zip *zip = NULL;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    const struct zip_options options = {.fd = fd, .folder = "evidence", .directory = "/tmp"};
    request.filter = &filter;
    if (zip_create(&options, &zip, &why) == OK) {
        const struct package_options package = {.collection = c,
                                                .zip = zip,
                                                .request = &request,
                                                .seed = "seed",
                                                .sample_of = "intent",
                                                .with_replay = true,
                                                .on_progress = on_progress};
        (void)!package_write(&package, &why);
    }
    zip_destroy(zip);
    (void)close(fd);
}

static enum err add(struct collection *c, struct bytes packed)
{
    struct err_text why = {.text = ""};
    Chaperone__V1__ExportPart *part =
        chaperone__v1__export_part__unpack(NULL, packed.size, packed.data);
    if (part == NULL) {
        return ERR_INVALID;
    }
    mend(part);
    enum err e = collection_add(c, part, &why);
    chaperone__v1__export_part__free_unpacked(part, NULL);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct collection_options options = {
        /* A proof that does not check ends it: without a sample what is behind is reached. */
        .directory = "/tmp",
        .sample = (uint32_t)(size % 2),
        .seed = "seed",
        .sample_of = "intent"};
    struct collection *c = NULL;
    struct cursor cursor = cursor_of(bytes_of(data, size));
    if (collection_create(&options, &c, NULL) != OK) {
        abort();
    }
    enum err e = OK;
    while (e == OK && cursor.remaining > 0) {
        struct bytes packed = cursor_read_bytes(&cursor, cursor_read_u16(&cursor));
        e = cursor.failed ? ERR_INVALID : add(c, packed);
    }
    if (e == OK && collection_finish(c, NULL) == OK) {
        write_package(c);
    }
    collection_destroy(c);
    return 0;
}
