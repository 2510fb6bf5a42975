#include "cli/verify/listing.h"

static const char csv_begin[] = "position,";
static const char key_position[] = "\"position\":", key_hash[] = "\"hash\":\"";

enum { HEX = 2 * LISTING_HASH_SIZE };

void listing_init(struct listing *l, enum listing_format format, listing_fn *on_line, void *context)
{
    *l = (struct listing){.format = format, .on_line = on_line, .context = context};
    buffer_init(&l->pending, LISTING_LINE_MAX);
}

void listing_finish(struct listing *l)
{
    buffer_finish(&l->pending);
}

/* Digits without a leading zero, and what ends them. */
static bool read_number(struct bytes text, char end, uint64_t *out)
{
    uint64_t value = 0;
    size_t n = 0;
    while (n < text.size && n < 18 && text.data[n] >= '0' && text.data[n] <= '9') {
        value = value * 10 + (uint64_t)(text.data[n++] - '0');
    }
    *out = value;
    return n > 0 && text.data[0] != '0' && n < text.size &&
           (text.data[n] == end || (end == '}' && text.data[n] == ','));
}

static int digit_of(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In lower case only, and two for each line: crypto_hex_decode takes five times as long. */
static bool read_hash(struct bytes text, struct listing_line *line)
{
    int wrong = 0;
    if (text.size < HEX) {
        return false;
    }
    for (size_t i = 0; i < LISTING_HASH_SIZE; i++) {
        int high = digit_of(text.data[2 * i]), low = digit_of(text.data[2 * i + 1]);
        wrong |= high | low; /* negative where one is */
        line->hash[i] = (uint8_t)((unsigned)high << 4 | (unsigned)low);
    }
    return wrong >= 0;
}

/* What follows the only place of a key. In a JSON string its quotes would be escaped. */
static bool find_key(struct bytes line, const char *key, struct bytes *out)
{
    size_t size = strlen(key);
    const uint8_t *at = memmem(line.data, line.size, key, size);
    if (at == NULL) {
        return false;
    }
    *out = bytes_of(at + size, line.size - (size_t)(at - line.data) - size);
    return memmem(out->data, out->size, key, size) == NULL;
}

static bool read_json(struct bytes text, struct listing_line *out)
{
    static const char prefix[] = "\\\\x"; /* as bytes are written elsewhere */
    struct bytes position, hash;
    if (!find_key(text, key_position, &position) || !find_key(text, key_hash, &hash)) {
        return false;
    }
    size_t skip = sizeof(prefix) - 1;
    if (hash.size >= skip && memcmp(hash.data, prefix, skip) == 0) {
        hash = bytes_of(hash.data + skip, hash.size - skip);
    }
    return read_number(position, '}', &out->position) && read_hash(hash, out) && hash.size > HEX &&
           hash.data[HEX] == '"' && text.data[0] == '{';
}

/* POSITION,...,HASH,false CR LF */
static bool read_csv(struct bytes text, struct listing_line *out)
{
    static const char *const ends[] = {",false\r\n", ",true\r\n"};
    for (size_t i = 0; i < 2; i++) {
        size_t size = strlen(ends[i]);
        if (text.size > size + HEX && memcmp(text.data + text.size - size, ends[i], size) == 0) {
            const uint8_t *hash = text.data + text.size - size - HEX;
            return hash[-1] == ',' && read_number(text, ',', &out->position) &&
                   read_hash(bytes_of(hash, HEX), out);
        }
    }
    return false;
}

static enum err give(struct listing *l, struct bytes text)
{
    struct listing_line line = {.number = l->count + 1, .text = text};
    if (l->format == LISTING_CSV && !l->has_header) {
        l->has_header = true;
        size_t n = sizeof(csv_begin) - 1;
        return text.size > n && memcmp(text.data, csv_begin, n) == 0 ? OK : ERR_INVALID;
    }
    bool good = l->format == LISTING_CSV ? read_csv(text, &line) : read_json(text, &line);
    if (!good) {
        return ERR_INVALID;
    }
    l->count++;
    return l->on_line(l->context, &line);
}

static size_t count_quotes(const uint8_t *data, size_t size)
{
    size_t count = 0;
    const uint8_t *end = data + size;
    for (const uint8_t *at = memchr(data, '"', size); at != NULL;
         at = memchr(at + 1, '"', (size_t)(end - at - 1))) {
        count++;
    }
    return count;
}

/* The size of the first line of `text`, of which `scanned` bytes have no end; 0: not yet whole. */
static size_t find_end(struct listing *l, struct bytes text)
{
    while (l->scanned < text.size) {
        const uint8_t *from = text.data + l->scanned;
        const uint8_t *at = memchr(from, '\n', text.size - l->scanned);
        size_t size = at == NULL ? text.size - l->scanned : (size_t)(at - from) + 1;
        l->quotes += l->format == LISTING_CSV ? count_quotes(from, size) : 0;
        l->scanned += size;
        if (at != NULL && l->quotes % 2 == 0) {
            size_t end = l->scanned;
            l->scanned = 0;
            l->quotes = 0;
            return end;
        }
    }
    return 0;
}

enum err listing_feed(struct listing *l, struct bytes more)
{
    if (l->failed == OK && buffer_size(&l->pending) > 0) {
        /* Only up to the end of the line that waits: the rest is read where it is. */
        size_t end = 0;
        while (l->failed == OK && more.size > 0 && end == 0) {
            const uint8_t *at = memchr(more.data, '\n', more.size);
            size_t size = at == NULL ? more.size : (size_t)(at - more.data) + 1;
            l->failed = buffer_append(&l->pending, bytes_of(more.data, size));
            more = bytes_of(more.data + size, more.size - size);
            end = l->failed == OK ? find_end(l, buffer_bytes(&l->pending)) : 0;
        }
        if (end > 0) {
            l->failed = give(l, buffer_bytes(&l->pending));
            buffer_clear(&l->pending);
        }
    }
    while (l->failed == OK && more.size > 0) {
        size_t end = find_end(l, more);
        if (end == 0) {
            l->failed = buffer_append(&l->pending, more);
            break;
        }
        l->failed = give(l, bytes_of(more.data, end));
        more = bytes_of(more.data + end, more.size - end);
    }
    return l->failed;
}

enum err listing_end(struct listing *l)
{
    bool is_whole = buffer_size(&l->pending) == 0 && (l->format == LISTING_JSON || l->has_header);
    l->failed = l->failed == OK && !is_whole ? ERR_INVALID : l->failed;
    return l->failed;
}
