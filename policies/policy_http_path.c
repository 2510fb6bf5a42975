/* Paths and JSON pointers, step by step. */
#include "policies/policy_http.h"

/* What stands before the next separator; `*text` is then behind it, or NULL at the end. */
static struct bytes step_take(const char **text)
{
    const char *start = *text, *slash = strchr(start, '/');
    size_t size = slash == NULL ? strlen(start) : (size_t)(slash - start);
    *text = slash == NULL ? NULL : slash + 1;
    return bytes_of(start, size);
}

static bool letters_equal(char a, char b)
{
    bool is_letter = (a | 0x20) >= 'a' && (a | 0x20) <= 'z';
    return a == b || (is_letter && (a | 0x20) == (b | 0x20));
}

static bool texts_equal(struct bytes text, const char *other, enum text_case which)
{
    size_t size = strlen(other);
    for (size_t i = 0; i < text.size && i < size; i++) {
        char a = (char)text.data[i], b = other[i];
        if (a != b && (which == CASE_COUNTS || !letters_equal(a, b))) {
            return false;
        }
    }
    return text.size == size;
}

bool path_is(const struct step_pattern *p, const char *path)
{
    if (path[0] != '/') {
        return false;
    }
    const char *rest = path + 1;
    for (size_t i = 0; i < p->count; i++) {
        if (rest == NULL) {
            return false;
        }
        struct bytes step = step_take(&rest);
        if (p->steps[i] == NULL ? step.size == 0 : !texts_equal(step, p->steps[i], CASE_COUNTS)) {
            return false;
        }
    }
    return rest == NULL || p->has_rest;
}

/* The next segment that is not empty, without its parameters (RFC 3986 section 3.3); false at the
 * end. */
static bool segment_take(const char **text, struct bytes *out)
{
    while (*text != NULL) {
        struct bytes step = step_take(text);
        const uint8_t *semicolon = step.size == 0 ? NULL : memchr(step.data, ';', step.size);
        step.size = semicolon == NULL ? step.size : (size_t)(semicolon - step.data);
        if (step.size > 0) {
            *out = step;
            return true;
        }
    }
    return false;
}

/* Most paths are told apart by their first letter. */
static bool begins_otherwise(const struct step_pattern *p, const char *path)
{
    if (p->count == 0 || p->steps[0] == NULL || p->steps[0][0] == '\0') {
        return false;
    }
    while (*path == '/') {
        path++;
    }
    return *path != ';' && !letters_equal(*path, p->steps[0][0]);
}

bool path_may_be(const struct step_pattern *p, const char *path)
{
    if (begins_otherwise(p, path)) {
        return false;
    }
    const char *rest = path;
    struct bytes step;
    for (size_t i = 0; i < p->count; i++) {
        if (p->steps[i] != NULL && p->steps[i][0] == '\0') {
            continue; /* the pattern has an empty segment */
        }
        if (!segment_take(&rest, &step) ||
            (p->steps[i] != NULL && !texts_equal(step, p->steps[i], CASE_IGNORED))) {
            return false;
        }
    }
    return p->has_rest || !segment_take(&rest, &step);
}

/* --- pointers -------------------------------------------------------------------------- */

/* From a separator on; what is left begins with the next one. */
static struct bytes pointer_take(struct bytes *rest, const char *separators)
{
    size_t size = 1;
    while (size < rest->size && strchr(separators, rest->data[size]) == NULL) {
        size++;
    }
    struct bytes step = bytes_of(rest->data + 1, size - 1);
    *rest = bytes_of(rest->data + size, rest->size - size);
    return step;
}

bool pointer_is(const struct step_pattern *p, struct bytes pointer, enum text_case which)
{
    struct bytes rest = pointer;
    for (size_t i = 0; i < p->count; i++) {
        if (rest.size == 0 || rest.data[0] != '/') {
            return false;
        }
        struct bytes step = pointer_take(&rest, "/");
        if (p->steps[i] != NULL && !texts_equal(step, p->steps[i], which)) {
            return false;
        }
    }
    return rest.size == 0;
}

bool pointer_may_be(const struct step_pattern *p, struct bytes pointer)
{
    struct bytes rest = pointer;
    for (size_t i = 0; i < p->count; i++) {
        if (rest.size == 0) {
            return false;
        }
        struct bytes step = pointer_take(&rest, "/[");
        if (step.size > 0 && step.data[step.size - 1] == ']') {
            step.size--;
        }
        if (p->steps[i] != NULL && !name_may_be(p->steps[i], step)) {
            return false;
        }
    }
    return true;
}
