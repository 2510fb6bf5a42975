#include "sidecar/masking/json_unescape.h"

static int hex4(const uint8_t *at)
{
    int n = 0;
    for (size_t i = 0; i < 4; i++) {
        uint8_t c = at[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0) {
            return -1;
        }
        n = n << 4 | d;
    }
    return n;
}

static size_t put_utf8(int cp, uint8_t *out)
{
    size_t more = cp < 0x80 ? 0 : cp < 0x800 ? 1 : cp < 0x10000 ? 2 : 3;
    static const uint8_t heads[] = {0, 0xc0, 0xe0, 0xf0};
    out[0] = (uint8_t)(heads[more] | cp >> 6 * more);
    for (size_t i = 1; i <= more; i++) {
        out[i] = (uint8_t)(0x80 | (cp >> 6 * (more - i) & 0x3f));
    }
    return more + 1;
}

/* Reads one character from what is held: its code in `out_code` (-1: the byte as it is) and how
 * many bytes it takes; 0 when more are needed. */
static size_t read_one(const struct json_unescape *j, bool is_end, int *out_code)
{
    static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const uint8_t *at = j->held;
    *out_code = -1;
    if (at[0] != '\\' || (is_end && j->count < 2)) {
        return 1;
    }
    if (j->count < 2) {
        return 0;
    }
    const char *escape = at[1] == 0 ? NULL : strchr(escapes, at[1]);
    if (escape != NULL) {
        *out_code = meant[escape - escapes];
        return 2;
    }
    if (at[1] != 'u' || (is_end && j->count < 6)) {
        return 1;
    }
    if (j->count < 6) {
        return 0;
    }
    int code = hex4(at + 2);
    if (code < 0) {
        return 1;
    }
    bool is_high = code >= 0xd800 && code < 0xdc00;
    if (is_high && j->count < 12 && !is_end) {
        return 0;
    }
    int low = is_high && j->count == 12 && at[6] == '\\' && at[7] == 'u' ? hex4(at + 8) : -1;
    if (low >= 0xdc00 && low < 0xe000) {
        *out_code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        return 12;
    }
    *out_code = code >= 0xd800 && code < 0xe000 ? 0xfffd : code;
    return 6;
}

size_t json_unescape_push(struct json_unescape *j, uint8_t byte, bool is_end,
                          uint8_t out[JSON_UNESCAPE_OUT_MAX], uint8_t widths[JSON_UNESCAPE_OUT_MAX])
{
    size_t made = 0;
    if (!is_end) {
        j->held[j->count++] = byte;
    }
    while (j->count > 0) {
        int code = -1;
        size_t taken = read_one(j, is_end, &code);
        if (taken == 0) {
            break;
        }
        size_t size = 1;
        if (code < 0) {
            out[made] = j->held[0];
        } else {
            size = put_utf8(code, out + made);
        }
        memset(widths + made, 0, size);
        widths[made] = (uint8_t)taken;
        made += size;
        j->count -= taken;
        memmove(j->held, j->held + taken, j->count);
    }
    return made;
}
