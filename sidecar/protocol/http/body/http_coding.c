#include "sidecar/protocol/http/body/http_coding.h"

#include <strings.h>

static bool is_name(struct bytes b, const char *name)
{
    return b.size == strlen(name) && strncasecmp((const char *)b.data, name, b.size) == 0;
}

static struct bytes trim(struct bytes b)
{
    while (b.size > 0 && (b.data[0] == ' ' || b.data[0] == '\t')) {
        b = bytes_of(b.data + 1, b.size - 1);
    }
    while (b.size > 0 && (b.data[b.size - 1] == ' ' || b.data[b.size - 1] == '\t')) {
        b.size--;
    }
    return b;
}

/* Takes the next item of a list (RFC 9110 section 5.6.1) from the front. */
static struct bytes next_item(struct bytes *io_list)
{
    const uint8_t *comma = memchr(io_list->data, ',', io_list->size);
    size_t size = comma == NULL ? io_list->size : (size_t)(comma - io_list->data);
    struct bytes item = bytes_of(io_list->data, size);
    size_t used = comma == NULL ? size : size + 1;
    *io_list = bytes_of(io_list->data + used, io_list->size - used);
    return trim(item);
}

static bool find_coding(struct bytes name, enum http_coding *out)
{
    static const struct {
        const char *name;
        enum http_coding coding;
    } known[] = {
        {"gzip", HTTP_CODING_GZIP}, {"x-gzip", HTTP_CODING_GZIP}, {"deflate", HTTP_CODING_DEFLATE},
        {"br", HTTP_CODING_BR},     {"zstd", HTTP_CODING_ZSTD},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (is_name(name, known[i].name)) {
            *out = known[i].coding;
            return true;
        }
    }
    return false;
}

enum err http_coding_parse(struct bytes field, enum http_coding out[HTTP_CODINGS_MAX],
                           size_t *out_count, struct err_text *why)
{
    enum http_coding codings[HTTP_CODINGS_MAX];
    size_t count = 0;
    field = trim(field);
    bool more = field.size > 0;
    while (more) {
        /* An item behind the last comma counts as well: it is empty, and malformed. */
        more = memchr(field.data, ',', field.size) != NULL;
        struct bytes name = next_item(&field);
        enum http_coding coding;
        if (is_name(name, "identity")) {
            continue;
        }
        if (!find_coding(name, &coding)) {
            return err_set(why, ERR_DENIED, "the body has a content coding that is not known");
        }
        for (size_t i = 0; i < count; i++) {
            if (codings[i] == coding) {
                return err_set(why, ERR_DENIED, "the body has the same content coding twice");
            }
        }
        if (count == HTTP_CODINGS_MAX) {
            return err_set(why, ERR_DENIED, "the body has more than %d content codings",
                           (int)HTTP_CODINGS_MAX);
        }
        codings[count++] = coding;
    }
    memcpy(out, codings, count * sizeof(codings[0]));
    *out_count = count;
    return OK;
}
