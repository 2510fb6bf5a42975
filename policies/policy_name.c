/* Names and the patterns for them. */
#include "policies/policy_internal.h"

/* Greedy with one point to come back to: linear in practice, never worse than quadratic. */
bool glob_matches(const char *pattern, const char *text)
{
    const char *star = NULL, *resume = NULL;
    if (pattern[0] == '*' && pattern[1] == '\0') {
        return true; /* the most common one of all */
    }
    while (*text != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

static bool is_bare_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || c == '*' || c == '?' || (unsigned char)c >= 0x80;
}

/* One part up to a dot or the end; NULL when it is malformed or empty. */
static const char *part_parse(const char *text, char *out, bool *out_literal)
{
    char *start = out;
    *out_literal = *text == '"';
    if (!*out_literal) {
        for (; is_bare_character(*text); text++) {
            /* As the server folds names that are not quoted. */
            *out++ = *text;
            if (*text >= 'A' && *text <= 'Z') {
                out[-1] |= 0x20;
            }
        }
    } else {
        for (text++; *text != '\0' && (*text != '"' || text[1] == '"'); text++) {
            text += *text == '"';
            *out++ = *text;
        }
        if (*text++ != '"') {
            return NULL;
        }
    }
    *out = '\0';
    return out == start || (*text != '\0' && *text != '.') ? NULL : text;
}

/* Parts with dots between them, up to `max`; the parts stand behind each other in `out`. 0: it is
 * malformed, or has more. */
static size_t parts_parse(const char *text, size_t max, char *out, const char *parts[],
                          bool literal[])
{
    const char *rest = text;
    for (size_t count = 0; count < max; count++) {
        rest = part_parse(rest, out, &literal[count]);
        if (rest == NULL) {
            return 0;
        }
        parts[count] = out;
        out += strlen(out) + 1;
        if (*rest == '\0') {
            return count + 1;
        }
        rest++;
    }
    return 0;
}

bool name_pattern_parse(const char *text, char *out_parts, struct name_pattern *out)
{
    const char *parts[2];
    bool literal[2];
    size_t count = parts_parse(text, 2, out_parts, parts, literal);
    if (count == 1) {
        *out = (struct name_pattern){.name = parts[0], .name_is_literal = literal[0]};
    } else if (count == 2) {
        *out = (struct name_pattern){.schema = parts[0],
                                     .name = parts[1],
                                     .schema_is_literal = literal[0],
                                     .name_is_literal = literal[1]};
    }
    return count != 0;
}

bool column_pattern_parse(const char *text, char *out_parts, struct column_pattern *out)
{
    const char *parts[3];
    bool literal[3];
    if (parts_parse(text, 3, out_parts, parts, literal) != 3) {
        return false;
    }
    *out = (struct column_pattern){.table = {.schema = parts[0],
                                             .name = parts[1],
                                             .schema_is_literal = literal[0],
                                             .name_is_literal = literal[1]},
                                   .column = parts[2],
                                   .column_is_literal = literal[2]};
    return true;
}

bool schema_pattern_parse(const char *text, char *out_parts, struct name_pattern *out)
{
    const char *part;
    bool literal;
    if (parts_parse(text, 1, out_parts, &part, &literal) != 1) {
        return false;
    }
    *out = (struct name_pattern){.schema = part, .schema_is_literal = literal, .name = "*"};
    return true;
}

/* Copies one part without its quotes; returns what is behind it. */
static const char *part_read(const char *text, char out[256], bool *too_long)
{
    size_t size = 0;
    bool quoted = *text == '"';
    text += quoted;
    while (*text != '\0') {
        if (quoted && *text == '"') {
            text++;
            if (*text != '"') {
                break;
            }
        } else if (!quoted && *text == '.') {
            break;
        }
        if (size == 255) {
            *too_long = true;
            size = 0;
        }
        out[size++] = *text++;
    }
    out[size] = '\0';
    return text;
}

void plain_name_read(const char *text, struct plain_name *out)
{
    /* Its 512 bytes are not cleared: this is done for each object of each operation. */
    out->schema[0] = '\0';
    out->has_schema = out->is_too_long = false;
    text = part_read(text, out->name, &out->is_too_long);
    while (*text == '.') {
        /* Of db.schema.name the last two count. */
        memcpy(out->schema, out->name, sizeof(out->schema));
        out->has_schema = true;
        text = part_read(text + 1, out->name, &out->is_too_long);
    }
    /* Behind a closing quote only a dot or the end may stand. */
    out->is_too_long = out->is_too_long || *text != '\0';
}

bool part_matches(const char *pattern, bool is_literal, const char *text)
{
    return is_literal ? strcmp(pattern, text) == 0 : glob_matches(pattern, text);
}

static bool schema_is_default(const struct name_pattern *p, const struct plain_name *n,
                              enum name_use use)
{
    /* pg_catalog is searched first, and names of its tables begin with pg_ (ddl-schemas, "The
     * System Catalog Schema"); its functions have any name. */
    bool system_table = strncmp(n->name, "pg_", 3) == 0;
    bool in_catalog = use == NAME_FUNCTION || system_table;
    bool in_public = use == NAME_FUNCTION || !system_table;
    return (in_catalog && part_matches(p->schema, p->schema_is_literal, "pg_catalog")) ||
           (in_public && part_matches(p->schema, p->schema_is_literal, "public"));
}

bool name_matches(const struct name_pattern *p, const struct plain_name *n, enum name_use use,
                  bool forbids)
{
    if (n->is_too_long) {
        return forbids;
    }
    if (!part_matches(p->name, p->name_is_literal, n->name)) {
        return false;
    }
    if (p->schema == NULL) {
        return true;
    }
    if (n->has_schema) {
        return part_matches(p->schema, p->schema_is_literal, n->schema);
    }
    /* `hr.*` cannot mean every table without a schema, but `hr.salaries` may be meant by
     * `salaries`. */
    bool is_one_name = p->name_is_literal || strpbrk(p->name, "*?") == NULL;
    return (forbids && is_one_name) || schema_is_default(p, n, use);
}

bool any_name_matches(const struct name_patterns *p, const struct plain_name *n, enum name_use use,
                      bool forbids)
{
    for (size_t i = 0; i < p->count; i++) {
        if (name_matches(&p->items[i], n, use, forbids)) {
            return true;
        }
    }
    return false;
}
