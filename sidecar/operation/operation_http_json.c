/* The scalars of JSON, each with its pointer. cJSON reads it; what cJSON is lenient about, and
 * other readers see otherwise, is looked for before and after. */
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "sidecar/operation/operation_http.h"
#include "sidecar/operation/operation_http_text.h"

enum {
    /* Bounds the tree that cJSON makes. */
    COMMAS_MAX = 4 * OPERATION_HTTP_SCALARS_MAX,
    /* Pointers repeat the names above them. */
    POINTERS_SIZE_MAX = 256 << 10,
};

struct json {
    struct arena *arena;
    struct bytes body;
    size_t number_at; /* behind the last number */
    struct policy_pair *pairs;
    size_t count, pointers_size;
};

/* ---- before ----------------------------------------------------------------------------- */

/* A name or text with a NUL ends there for us, and not for others; cJSON makes a NUL of digits that
 * are none, too. */
static bool may_hide_end(struct bytes body, size_t backslash)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    if (body.size - backslash < 2 || body.data[backslash + 1] != 'u') {
        return false;
    }
    if (body.size - backslash < 6) {
        return true;
    }
    const uint8_t *code = body.data + backslash + 2;
    for (size_t i = 0; i < 4; i++) {
        if (code[i] == '\0' || strchr(digits, code[i]) == NULL) {
            return true;
        }
    }
    return memcmp(code, "0000", 4) == 0;
}

static bool is_control(uint8_t c)
{
    return c < ' ' && c != '\t' && c != '\n' && c != '\r';
}

/* Bounded in depth and number, text without controls. What this gets wrong cJSON refuses. */
static bool body_is_readable(struct bytes body)
{
    size_t depth = 0, commas = 0;
    bool in_text = false;
    for (size_t i = 0; i < body.size; i++) {
        uint8_t c = body.data[i];
        if (is_control(c) || (in_text && c < ' ') || (c == '\\' && may_hide_end(body, i))) {
            return false;
        }
        if (in_text) {
            in_text = c != '"';
            i += c == '\\';
            continue;
        }
        in_text = c == '"';
        commas += c == ',';
        depth += c == '[' || c == '{';
        if (depth > OPERATION_HTTP_DEPTH_MAX || commas > COMMAS_MAX) {
            return false;
        }
        depth -= (c == ']' || c == '}') && depth > 0;
    }
    return operation_text_is_utf8(body);
}

/* ---- after ------------------------------------------------------------------------------ */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *digits_skip(const char *text)
{
    while (is_digit(*text)) {
        text++;
    }
    return text;
}

/* RFC 8259 section 6. */
static bool is_number(const char *text)
{
    const char *at = text + (*text == '-');
    const char *end = *at == '0' ? at + 1 : digits_skip(at);
    if (end == at) {
        return false;
    }
    if (*end == '.') {
        at = end + 1;
        end = digits_skip(at);
        if (end == at) {
            return false;
        }
    }
    if (*end == 'e' || *end == 'E') {
        at = end + 1 + (end[1] == '+' || end[1] == '-');
        end = digits_skip(at);
        if (end == at) {
            return false;
        }
    }
    return *end == '\0';
}

static bool is_of_number(uint8_t c)
{
    return is_digit((char)c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* cJSON makes doubles of numbers; what was written is the next one in the text, in the order of
 * the tree. NULL: it is none. */
static const char *number_take(struct json *j)
{
    const uint8_t *data = j->body.data;
    size_t i = j->number_at, size = j->body.size;
    for (bool in_text = false;
         i < size && (in_text || (!is_digit((char)data[i]) && data[i] != '-')); i++) {
        if (in_text && data[i] == '\\') {
            i++;
        } else if (data[i] == '"') {
            in_text = !in_text;
        }
    }
    size_t end = i;
    while (end < size && is_of_number(data[end])) {
        end++;
    }
    if (i >= size) {
        return NULL;
    }
    j->number_at = end;
    char *text = arena_copy_string(j->arena, bytes_of(data + i, end - i));
    return text != NULL && is_number(text) ? text : NULL;
}

static const char *scalar_text(struct json *j, const cJSON *node)
{
    if (cJSON_IsString(node)) {
        return arena_copy_string(j->arena, bytes_of_string(node->valuestring));
    }
    return cJSON_IsNumber(node)  ? number_take(j)
           : cJSON_IsTrue(node)  ? "true"
           : cJSON_IsFalse(node) ? "false"
           : cJSON_IsNull(node)  ? "null"
                                 : NULL;
}

static int names_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* RFC 8259 section 4: of two members with one name, readers take the first, the last, or none. */
static bool names_are_unique(struct json *j, const cJSON *object)
{
    size_t count = 0;
    const cJSON *child = NULL;
    const char **names =
        arena_alloc(j->arena, ((size_t)cJSON_GetArraySize(object) + 1) * sizeof(const char *));
    if (names == NULL) {
        return false;
    }
    cJSON_ArrayForEach(child, object)
    {
        names[count++] = child->string;
    }
    qsort(names, count, sizeof(const char *), names_compare);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            return false;
        }
    }
    return true;
}

static bool node_read(struct json *j, const cJSON *node, const char *pointer);

static bool children_read(struct json *j, const cJSON *node, const char *pointer)
{
    size_t index = 0;
    const cJSON *child = NULL;
    if (cJSON_IsObject(node) && !names_are_unique(j, node)) {
        return false;
    }
    cJSON_ArrayForEach(child, node)
    {
        char number[24];
        (void)snprintf(number, sizeof(number), "%zu", index++);
        const char *name = cJSON_IsObject(node) ? child->string : number;
        j->pointers_size += strlen(pointer) + strlen(name) + 2;
        const char *below = j->pointers_size > POINTERS_SIZE_MAX
                                ? NULL
                                : operation_pointer_join(j->arena, pointer, name);
        if (below == NULL || !node_read(j, child, below)) {
            return false;
        }
    }
    return true;
}

static bool node_read(struct json *j, const cJSON *node, const char *pointer)
{
    if (cJSON_IsObject(node) || cJSON_IsArray(node)) {
        return children_read(j, node, pointer);
    }
    if (j->count == OPERATION_HTTP_SCALARS_MAX) {
        return false;
    }
    const char *text = scalar_text(j, node);
    j->pairs[j->count++] = (struct policy_pair){.name = pointer, .value = text};
    return text != NULL;
}

/* Nothing but white space is behind it, and no number that the tree does not have. */
static bool is_at_end(struct json *j, const char *end)
{
    const char *last = (const char *)j->body.data + j->body.size;
    while (end < last && (*end == ' ' || *end == '\t' || *end == '\n' || *end == '\r')) {
        end++;
    }
    return end == last && number_take(j) == NULL;
}

bool operation_json_read(struct arena *a, struct bytes body, struct policy_pair **out,
                         size_t *out_count)
{
    struct json j = {.arena = a, .body = body};
    const char *end = NULL;
    if (body.size > OPERATION_HTTP_BODY_MAX || !body_is_readable(body)) {
        return false;
    }
    j.pairs = arena_alloc(a, OPERATION_HTTP_SCALARS_MAX * sizeof(*j.pairs));
    cJSON *root = j.pairs == NULL
                      ? NULL
                      : cJSON_ParseWithLengthOpts((const char *)body.data, body.size, &end, false);
    bool good = root != NULL && node_read(&j, root, "") && is_at_end(&j, end);
    cJSON_Delete(root);
    if (good) {
        *out = j.pairs;
        *out_count = j.count;
    }
    return good;
}
