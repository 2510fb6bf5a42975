#include "controlplane/identity/strict_json.h"

#include <stdlib.h>

/* Returns the length of the UTF-8 sequence at `s` (RFC 3629 section 4), 0 when it is none. */
static size_t utf8_length(const uint8_t *s, size_t size)
{
    static const struct {
        uint8_t first_min, first_max, second_min, second_max, length;
    } forms[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (s[0] < forms[i].first_min || s[0] > forms[i].first_max) {
            continue;
        }
        size_t length = forms[i].length;
        if (length > size) {
            return 0;
        }
        if (length > 1 && (s[1] < forms[i].second_min || s[1] > forms[i].second_max)) {
            return 0;
        }
        for (size_t j = 2; j < length; j++) {
            if (s[j] < 0x80 || s[j] > 0xbf) {
                return 0;
            }
        }
        return length;
    }
    return 0;
}

static enum err check_text(struct bytes text, const char *what, struct err_text *why)
{
    static const char escaped_nul[] = "\\u0000";
    if (text.size == 0) {
        return err_set(why, ERR_INVALID, "%s is empty", what);
    }
    for (size_t i = 0; i < text.size;) {
        size_t length = utf8_length(text.data + i, text.size - i);
        if (length == 0) {
            return err_set(why, ERR_INVALID, "%s is not UTF-8", what);
        }
        if (text.data[i] == 0) {
            return err_set(why, ERR_INVALID, "%s has a NUL byte in it", what);
        }
        i += length;
    }
    if (memmem(text.data, text.size, escaped_nul, sizeof escaped_nul - 1) != NULL) {
        return err_set(why, ERR_INVALID, "%s has a NUL (\\u0000) in it", what);
    }
    return OK;
}

static enum err check_duplicates(const cJSON *object, const char *what, struct err_text *why)
{
    size_t members = 0;
    const cJSON *member = NULL;
    cJSON_ArrayForEach(member, object)
    {
        if (++members > STRICT_JSON_MEMBERS_MAX) {
            return err_set(why, ERR_INVALID, "%s has an object of more than %d members", what,
                           STRICT_JSON_MEMBERS_MAX);
        }
        for (const cJSON *later = member->next; later != NULL; later = later->next) {
            if (strcmp(member->string, later->string) == 0) {
                char quoted[STRICT_JSON_QUOTE_SIZE];
                return err_set(why, ERR_INVALID, "%s has the member %s twice", what,
                               strict_json_quote(member->string, quoted));
            }
        }
    }
    return OK;
}

static enum err check_value(const cJSON *value, int depth, const char *what, struct err_text *why)
{
    if (depth > STRICT_JSON_DEPTH_MAX) {
        return err_set(why, ERR_INVALID, "%s is nested deeper than %d levels", what,
                       STRICT_JSON_DEPTH_MAX);
    }
    if (cJSON_IsObject(value)) {
        enum err e = check_duplicates(value, what, why);
        if (e != OK) {
            return e;
        }
    }
    const cJSON *child = NULL;
    cJSON_ArrayForEach(child, value)
    {
        enum err e = check_value(child, depth + 1, what, why);
        if (e != OK) {
            return e;
        }
    }
    return OK;
}

/* True when only white space is between `at` and the end. */
static bool is_blank(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) {
        at++;
    }
    return at == end;
}

enum err strict_json_parse(struct bytes text, const char *what, cJSON **out, struct err_text *why)
{
    enum err e = check_text(text, what, why);
    if (e != OK) {
        return e;
    }
    const char *end = NULL;
    cJSON *value = cJSON_ParseWithLengthOpts((const char *)text.data, text.size, &end, false);
    if (value == NULL || !is_blank(end, (const char *)text.data + text.size)) {
        e = err_set(why, ERR_INVALID, "%s is not valid JSON", what);
    } else if (!cJSON_IsObject(value)) {
        e = err_set(why, ERR_INVALID, "%s is not a JSON object", what);
    } else {
        e = check_value(value, 1, what, why);
    }
    if (e != OK) {
        cJSON_Delete(value);
        return e;
    }
    *out = value;
    return OK;
}

const char *strict_json_string(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static const cJSON *find_member(const cJSON *object, const char *name, size_t size)
{
    const cJSON *member = NULL;
    cJSON_ArrayForEach(member, object)
    {
        if (member->string != NULL && strlen(member->string) == size &&
            memcmp(member->string, name, size) == 0) {
            return member;
        }
    }
    return NULL;
}

const cJSON *strict_json_find(const cJSON *object, const char *path)
{
    if (!cJSON_IsObject(object)) {
        return NULL;
    }
    const cJSON *whole = find_member(object, path, strlen(path));
    if (whole != NULL) {
        return whole;
    }
    for (const char *dot = strchr(path, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        const cJSON *member = find_member(object, path, (size_t)(dot - path));
        const cJSON *found = member == NULL ? NULL : strict_json_find(member, dot + 1);
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

const char *strict_json_quote(const char *text, char *out)
{
    static const char shortened[] = "...\"";
    const size_t room = STRICT_JSON_QUOTE_SIZE - sizeof shortened;
    size_t at = 0;
    out[at++] = '"';
    size_t i = 0;
    for (; text[i] != '\0' && at < room; i++) {
        bool plain = text[i] >= ' ' && text[i] <= '~' && text[i] != '"';
        out[at] = '?';
        if (plain) {
            out[at] = text[i];
        }
        at++;
    }
    if (text[i] == '\0') {
        out[at] = '"';
        out[at + 1] = '\0';
    } else {
        memcpy(out + at, shortened, sizeof shortened);
    }
    return out;
}
