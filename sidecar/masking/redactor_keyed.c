/* The keyed redactors: hashes, permuted integers, and digits for digits. */
#include "sidecar/masking/redactor_internal.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What a MAC is for comes first in it, so that no two uses share one. */
static void mac_of(const struct redactor *r, char use, struct bytes data, uint8_t *out)
{
    struct crypto_hmac mac = r->keyed;
    crypto_hmac_update(&mac, bytes_of(&use, 1));
    crypto_hmac_update(&mac, data);
    crypto_hmac_finish(&mac, out);
}

/* ---- integers: a keyed permutation ---------------------------------------------------------- */

enum {
    ROUNDS = 8
}; /* four suffice against chosen values (Luby and Rackoff); small halves need more */

/* A Feistel network over numbers of 16, 32 or 64 bits. */
static uint64_t permute_bits(const struct redactor *r, uint64_t x, unsigned bits)
{
    unsigned half = bits / 2;
    uint64_t mask = (UINT64_C(1) << half) - 1;
    uint64_t left = x >> half & mask, right = x & mask;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint8_t in[6] = {(uint8_t)bits, (uint8_t)round};
        uint8_t mac[CRYPTO_SHA256_SIZE];
        uint32_t part = (uint32_t)right, made = 0;
        memcpy(in + 2, &part, sizeof(part));
        mac_of(r, 'P', bytes_of(in, sizeof(in)), mac);
        memcpy(&made, mac, sizeof(made));
        uint64_t next = (left ^ made) & mask;
        left = right;
        right = next;
    }
    return left << half | right;
}

static unsigned bits_of(int64_t x)
{
    return x >= INT16_MIN && x <= INT16_MAX ? 16 : x >= INT32_MIN && x <= INT32_MAX ? 32 : 64;
}

/* Within what the narrowest type that holds the number can hold, so that the result is the same
 * for each width, and no two numbers get the same one. */
static int64_t permute(const struct redactor *r, int64_t x)
{
    unsigned bits = bits_of(x);
    do { /* until it needs that width: the wanderings of two numbers never meet */
        uint64_t y = permute_bits(r, (uint64_t)x, bits);
        x = bits == 16   ? (int64_t)(int16_t)(uint16_t)y
            : bits == 32 ? (int64_t)(int32_t)(uint32_t)y
                         : (int64_t)y;
    } while (bits_of(x) != bits);
    return x;
}

/* ---- hashes ---------------------------------------------------------------------------------- */

static enum err made_text(struct redactor *r, const char *text, struct value *v)
{
    buffer_clear(&r->made);
    enum err e = buffer_append_string(&r->made, text);
    v->text = buffer_bytes(&r->made);
    return e;
}

/* bpchar is equal without its blanks at the end. */
static struct bytes without_blanks(struct bytes text)
{
    while (text.size > 0 && text.data[text.size - 1] == ' ') {
        text.size--;
    }
    return text;
}

static enum err hash_text(struct redactor *r, struct value *v)
{
    enum { BPCHAR = 1042 };
    uint8_t mac[CRYPTO_SHA256_SIZE];
    char hex[2 * REDACTOR_HASH_SIZE + 1], quoted[sizeof(hex) + 2];
    bool is_text = v->type->kind == VALUE_TEXT;
    mac_of(r, is_text ? 'T' : 'J', v->type->oid == BPCHAR ? without_blanks(v->text) : v->text, mac);
    crypto_hex_encode(bytes_of(mac, REDACTOR_HASH_SIZE), hex);
    (void)snprintf(quoted, sizeof(quoted), "\"%s\"", hex);
    return made_text(r, is_text ? hex : quoted, v);
}

/* bytea, uuid and inet: bytes, with marks that make them valid. */
static enum err hash_bytes(const struct redactor *r, struct value *v)
{
    static const char uses[] = {[VALUE_BYTEA] = 'B', [VALUE_UUID] = 'U', [VALUE_INET] = 'I'};
    uint8_t mac[CRYPTO_SHA256_SIZE];
    struct bytes in = v->text;
    uint8_t address[20];
    if (v->type->kind == VALUE_INET) { /* its third byte does not count */
        memcpy(address, in.data, in.size);
        address[2] = 0;
        in = bytes_of(address, in.size);
    }
    mac_of(r, uses[v->type->kind], in, mac);
    if (v->type->kind == VALUE_INET) {
        static const uint8_t head[] = {3, 128, 0, 16, 0xfd}; /* IPv6, unique local (RFC 4193) */
        memcpy(v->own, head, sizeof(head));
        memcpy(v->own + sizeof(head), mac, 15);
        v->text = bytes_of(v->own, 20);
        return OK;
    }
    memcpy(v->own, mac, REDACTOR_HASH_SIZE);
    if (v->type->kind == VALUE_UUID) { /* version 8, variant 10 (RFC 9562 section 5.8) */
        v->own[6] = (uint8_t)(0x80 | (v->own[6] & 0x0f));
        v->own[8] = (uint8_t)(0x80 | (v->own[8] & 0x3f));
    }
    v->text = bytes_of(v->own, REDACTOR_HASH_SIZE);
    return OK;
}

static uint64_t number_of(const uint8_t *mac)
{
    uint64_t number;
    memcpy(&number, mac, sizeof(number));
    return number;
}

/* Whole numbers that the type holds exactly. */
static enum err hash_float(const struct redactor *r, struct value *v)
{
    uint8_t mac[CRYPTO_SHA256_SIZE];
    double x = v->real == 0 ? 0 : isnan(v->real) ? (double)NAN : v->real; /* -0 equals 0 */
    mac_of(r, 'F', bytes_of(&x, sizeof(x)), mac);
    v->real = (double)(number_of(mac) >> (v->type->kind == VALUE_FLOAT4 ? 64 - 24 : 64 - 53));
    return OK;
}

/* 007.50 and 7.5 are equal: without the zeroes that do not count, without the sign of a zero. */
static struct bytes without_zeroes(struct bytes text, bool *out_is_negative)
{
    bool is_negative = text.size > 0 && text.data[0] == '-';
    size_t start = is_negative, end = text.size;
    if (memchr(text.data, '.', text.size) != NULL) {
        while (text.data[end - 1] == '0') {
            end--;
        }
        end -= text.data[end - 1] == '.';
    }
    while (start + 1 < end && text.data[start] == '0' && text.data[start + 1] != '.') {
        start++;
    }
    struct bytes rest = bytes_of(text.data + start, end - start);
    *out_is_negative = is_negative && !bytes_equal_string(rest, "0");
    return rest;
}

static bool to_integer(struct bytes digits, bool is_negative, int64_t *out)
{
    char text[24];
    char *end = NULL;
    if (digits.size > 19) {
        return false;
    }
    (void)snprintf(text, sizeof(text), "%s%.*s", is_negative ? "-" : "", (int)digits.size,
                   (const char *)digits.data);
    errno = 0;
    *out = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0' && end != text;
}

/* A whole number as the integer types' hash, so that they can still be joined. */
static enum err hash_numeric(struct redactor *r, struct value *v)
{
    char text[32];
    bool is_negative = false;
    struct bytes rest = without_zeroes(v->text, &is_negative);
    int64_t integer = 0;
    if (to_integer(rest, is_negative, &integer)) {
        (void)snprintf(text, sizeof(text), "%lld", (long long)permute(r, integer));
        return made_text(r, text, v);
    }
    uint8_t mac[CRYPTO_SHA256_SIZE];
    mac_of(r, is_negative ? 'M' : 'N', rest, mac);
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)(number_of(mac) >> 4));
    return made_text(r, text, v);
}

enum err redactor_make_hash(struct redactor *r, struct value *v)
{
    switch (v->type->kind) {
    case VALUE_INTEGER: v->number = permute(r, v->number); return OK;
    case VALUE_FLOAT4:
    case VALUE_FLOAT8: return hash_float(r, v);
    case VALUE_NUMERIC: return hash_numeric(r, v);
    case VALUE_TEXT:
    case VALUE_JSON:
    case VALUE_JSONB: return hash_text(r, v);
    case VALUE_BYTEA:
    case VALUE_UUID:
    case VALUE_INET: return hash_bytes(r, v);
    default: return ERR_INVALID; /* a bool or a day would be found again by counting */
    }
}

/* ---- digits for digits ------------------------------------------------------------------------
 */

/* Pseudorandom bytes that depend on the key and the letters and digits of the value. */
struct keystream {
    const struct redactor *r;
    uint8_t seed[CRYPTO_SHA256_SIZE + 4]; /* and a counter */
    uint8_t block[CRYPTO_SHA256_SIZE];
    uint32_t counter;
    size_t used;
};

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Punctuation does not count: 4111-1111 and 4111 1111 keep the same digits. */
static void keystream_init(struct keystream *k, const struct redactor *r, struct bytes text,
                           uint8_t attempt)
{
    struct crypto_hmac mac = r->keyed;
    const uint8_t use[] = {'D', attempt};
    crypto_hmac_update(&mac, bytes_of(use, sizeof(use)));
    for (size_t i = 0; i < text.size;) {
        size_t start = i;
        while (i < text.size &&
               (is_digit(text.data[i]) || is_letter(text.data[i]) || text.data[i] >= 0x80)) {
            i++;
        }
        crypto_hmac_update(&mac, bytes_of(text.data + start, i - start));
        i += i < text.size;
    }
    *k = (struct keystream){.r = r, .used = sizeof(k->block)};
    crypto_hmac_finish(&mac, k->seed);
}

/* Below `bound`, each as likely. */
static uint8_t keystream_below(struct keystream *k, unsigned bound)
{
    for (;;) {
        if (k->used == sizeof(k->block)) {
            memcpy(k->seed + CRYPTO_SHA256_SIZE, &k->counter, sizeof(k->counter));
            mac_of(k->r, 'S', bytes_of(k->seed, sizeof(k->seed)), k->block);
            k->counter++;
            k->used = 0;
        }
        uint8_t byte = k->block[k->used++];
        if (byte < 256 - 256 % bound) {
            return (uint8_t)(byte % bound);
        }
    }
}

/* In place; returns the new size. A character beyond ASCII becomes one '*'. */
static size_t replace(struct keystream *k, bool with_letters, uint8_t *text, size_t size)
{
    size_t made = 0;
    bool is_within = false; /* a character of several bytes */
    for (size_t i = 0; i < size; i++) {
        uint8_t c = text[i];
        bool goes_on = is_within && c >= 0x80 && c < 0xc0;
        is_within = c >= 0xc0 || goes_on;
        if (goes_on) {
            continue;
        }
        if (is_digit(c)) {
            c = (uint8_t)('0' + keystream_below(k, 10));
        } else if (is_letter(c) && with_letters) {
            c = (uint8_t)((c >= 'a' ? 'a' : 'A') + keystream_below(k, 26));
        } else if (c >= 0x80) {
            c = '*';
        }
        text[made++] = c;
    }
    return made;
}

static enum err digits_of_text(struct redactor *r, struct value *v)
{
    struct keystream k;
    keystream_init(&k, r, v->text, 0);
    buffer_clear(&r->made);
    uint8_t *to = buffer_reserve(&r->made, v->text.size + 1);
    if (to == NULL) {
        return ERR_LIMIT;
    }
    if (v->text.size > 0) {
        memcpy(to, v->text.data, v->text.size);
    }
    buffer_commit(&r->made, replace(&k, r->config.replace_letters, to, v->text.size));
    v->text = buffer_bytes(&r->made);
    return OK;
}

/* Of the digits before an exponent. A number of several digits does not begin with a zero. */
static void replace_number(const struct redactor *r, struct bytes in, uint8_t attempt, uint8_t *to)
{
    struct keystream k;
    keystream_init(&k, r, in, attempt);
    bool is_first = true;
    for (size_t i = 0; i < in.size && in.data[i] != 'e'; i++) {
        if (is_digit(in.data[i])) {
            bool not_zero = is_first && i + 1 < in.size && is_digit(in.data[i + 1]);
            to[i] =
                (uint8_t)(not_zero ? '1' + keystream_below(&k, 9) : '0' + keystream_below(&k, 10));
            is_first = false;
        }
    }
}

static enum err digits_of_integer(const struct redactor *r, struct value *v)
{
    enum { ATTEMPTS = 200 }; /* int2's five digits fit once in four times */
    char in[24], made[24];
    int size = snprintf(in, sizeof(in), "%lld", (long long)v->number);
    for (int i = 0; i < ATTEMPTS; i++) {
        char *end = NULL;
        memcpy(made, in, sizeof(in));
        replace_number(r, bytes_of(in, (size_t)size), (uint8_t)i, (uint8_t *)made);
        errno = 0;
        long long number = strtoll(made, &end, 10);
        if (errno == 0 && bits_of(number) <= 8u * v->type->width) {
            v->number = number;
            return OK;
        }
    }
    return ERR_INVALID;
}

static enum err digits_of_float(struct redactor *r, struct value *v)
{
    char text[VALUE_SHORT_MAX] = "";
    if (!isfinite(v->real)) {
        return ERR_INVALID;
    }
    buffer_clear(&r->made);
    enum err e = value_write(v, false, &r->made);
    struct bytes in = buffer_bytes(&r->made);
    if (e != OK || in.size >= sizeof(text)) {
        return e != OK ? e : ERR_INTERNAL;
    }
    memcpy(text, in.data, in.size);
    replace_number(r, in, 0, (uint8_t *)text);
    v->real = v->type->kind == VALUE_FLOAT4 ? (double)strtof(text, NULL) : strtod(text, NULL);
    return isfinite(v->real) ? OK : ERR_INVALID;
}

static enum err digits_of_numeric(struct redactor *r, struct value *v)
{
    if (!value_is_decimal(v->text)) {
        return ERR_INVALID; /* NaN and the infinities */
    }
    buffer_clear(&r->made);
    enum err e = buffer_append(&r->made, v->text);
    if (e == OK) {
        replace_number(r, v->text, 0, r->made.data + r->made.start);
        v->text = buffer_bytes(&r->made);
    }
    return e;
}

enum err redactor_make_digits(struct redactor *r, struct value *v)
{
    switch (v->type->kind) {
    case VALUE_TEXT: return digits_of_text(r, v);
    case VALUE_INTEGER: return digits_of_integer(r, v);
    case VALUE_NUMERIC: return digits_of_numeric(r, v);
    case VALUE_FLOAT4:
    case VALUE_FLOAT8: return digits_of_float(r, v);
    default: return ERR_INVALID;
    }
}
