#include "sidecar/sql/sql_naming.h"

#include <pg_query.h>
#include <stdlib.h>

#include "pg_query/pg_query.pb-c.h"

/* ---- is there anything to read ------------------------------------------------------------- */

bool sql_has_namings(const struct sql_analysis *a)
{
    static const char *const commands[] = {"PREPARE", "EXECUTE",        "DEALLOCATE", "DECLARE",
                                           "FETCH",   "MOVE",           "CLOSE",      "DISCARD ALL",
                                           "EXPLAIN", "CREATE TABLE AS"};
    for (size_t i = 0; i < a->statement_count; i++) {
        const char *command = a->statements[i].command;
        if (strchr("PEDFMC", command[0]) == NULL) {
            continue; /* nearly always: asked for each statement */
        }
        for (size_t j = 0; j < sizeof(commands) / sizeof(commands[0]); j++) {
            if (strncmp(command, commands[j], strlen(commands[j])) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* ---- where the inner query begins ---------------------------------------------------------- */

/* PREPARE name (types) AS query; DECLARE name ... CURSOR ... FOR query: the first such word outside
 * of parentheses, as the server's own lexer sees words. */
static size_t find_query(const char *text, size_t size, PgQuery__Token word)
{
    char *copy = malloc(size + 1);
    size_t found = 0;
    if (copy == NULL) {
        return 0;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    PgQueryScanResult scanned = pg_query_scan(copy);
    PgQuery__ScanResult *r =
        scanned.error != NULL ? NULL
                              : pg_query__scan_result__unpack(NULL, scanned.pbuf.len,
                                                              (const uint8_t *)scanned.pbuf.data);
    int depth = 0;
    for (size_t i = 0; r != NULL && found == 0 && i < r->n_tokens; i++) {
        const PgQuery__ScanToken *t = r->tokens[i];
        depth += t->token == PG_QUERY__TOKEN__ASCII_40;
        depth -= t->token == PG_QUERY__TOKEN__ASCII_41;
        if (depth == 0 && t->token == word && t->end > 0 && (size_t)t->end <= size) {
            found = (size_t)t->end;
        }
    }
    if (r != NULL) {
        pg_query__scan_result__free_unpacked(r, NULL);
    }
    pg_query_free_scan_result(scanned);
    free(copy);
    return found;
}

static bool read_query(struct bytes statement, PgQuery__Token word, struct sql_naming *out)
{
    size_t at = find_query((const char *)statement.data, statement.size, word);
    out->query = bytes_of(statement.data + at, statement.size - at);
    return at > 0;
}

/* ---- statements ---------------------------------------------------------------------------- */

enum { HOLD = 0x0020 }; /* CURSOR_OPT_HOLD of the server's parsenodes.h */

static const char *or_null(const char *name)
{
    return name == NULL || name[0] == '\0' ? NULL : name;
}

/* False: it was not understood. `*out_is` says whether there is one. */
static bool read_statement(const PgQuery__Node *n, struct bytes text, struct sql_naming *out,
                           bool *out_is)
{
    *out_is = true;
    switch ((int)n->node_case) {
    case PG_QUERY__NODE__NODE_PREPARE_STMT:
        out->kind = SQL_NAMING_PREPARE;
        out->name = n->prepare_stmt->name;
        return read_query(text, PG_QUERY__TOKEN__AS, out);
    case PG_QUERY__NODE__NODE_DECLARE_CURSOR_STMT:
        out->kind = SQL_NAMING_DECLARE;
        out->name = n->declare_cursor_stmt->portalname;
        out->is_held = (n->declare_cursor_stmt->options & HOLD) != 0;
        return read_query(text, PG_QUERY__TOKEN__FOR, out);
    case PG_QUERY__NODE__NODE_EXECUTE_STMT:
        out->kind = SQL_NAMING_EXECUTE;
        out->name = n->execute_stmt->name;
        return true;
    case PG_QUERY__NODE__NODE_DEALLOCATE_STMT:
        out->kind = SQL_NAMING_DEALLOCATE;
        out->name = or_null(n->deallocate_stmt->name);
        return true;
    case PG_QUERY__NODE__NODE_FETCH_STMT:
        out->kind = SQL_NAMING_FETCH;
        out->name = n->fetch_stmt->portalname;
        return true;
    case PG_QUERY__NODE__NODE_CLOSE_PORTAL_STMT:
        out->kind = SQL_NAMING_CLOSE;
        out->name = or_null(n->close_portal_stmt->portalname);
        return true;
    case PG_QUERY__NODE__NODE_DISCARD_STMT:
        out->kind = SQL_NAMING_DISCARD_ALL;
        *out_is = n->discard_stmt->target == PG_QUERY__DISCARD_MODE__DISCARD_ALL;
        return true;
    case PG_QUERY__NODE__NODE_EXPLAIN_STMT:
        if (n->explain_stmt->query == NULL ||
            n->explain_stmt->query->node_case != PG_QUERY__NODE__NODE_EXECUTE_STMT) {
            break;
        }
        return read_statement(n->explain_stmt->query, text, out, out_is);
    case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT:
        if (n->create_table_as_stmt->query == NULL ||
            n->create_table_as_stmt->query->node_case != PG_QUERY__NODE__NODE_EXECUTE_STMT) {
            break;
        }
        return read_statement(n->create_table_as_stmt->query, text, out, out_is);
    default: break;
    }
    *out_is = false;
    return true;
}

static struct bytes statement_text(const PgQuery__RawStmt *s, struct bytes text)
{
    size_t start = s->stmt_location < 0 ? 0 : (size_t)s->stmt_location;
    if (start > text.size) {
        return (struct bytes){0};
    }
    size_t rest = text.size - start;
    size_t size = s->stmt_len <= 0 || (size_t)s->stmt_len > rest ? rest : (size_t)s->stmt_len;
    return bytes_of(text.data + start, size);
}

static enum err read_tree(const PgQuery__ParseResult *tree, struct bytes text,
                          struct sql_namings *out)
{
    for (size_t i = 0; i < tree->n_stmts; i++) {
        struct sql_naming item = {.statement = i};
        bool is = false;
        if (!read_statement(tree->stmts[i]->stmt, statement_text(tree->stmts[i], text), &item,
                            &is)) {
            return ERR_INVALID;
        }
        if (!is) {
            continue;
        }
        if (out->count >= SQL_NAMINGS_MAX) {
            return ERR_LIMIT;
        }
        struct sql_naming *slot = &out->items[out->count];
        *slot = item;
        slot->name = item.name == NULL ? NULL : strdup(item.name);
        if (item.name != NULL && slot->name == NULL) {
            return ERR_NO_MEMORY;
        }
        out->count++;
    }
    return OK;
}

enum err sql_namings_read(struct bytes text, struct sql_namings *out)
{
    char *copy = bytes_to_string(text);
    struct sql_namings found = {.items = calloc(SQL_NAMINGS_MAX, sizeof(*found.items))};
    enum err e = copy == NULL || found.items == NULL ? ERR_NO_MEMORY : OK;
    if (e == OK) {
        PgQueryProtobufParseResult parsed = pg_query_parse_protobuf(copy);
        PgQuery__ParseResult *tree =
            parsed.error != NULL
                ? NULL
                : pg_query__parse_result__unpack(NULL, parsed.parse_tree.len,
                                                 (const uint8_t *)parsed.parse_tree.data);
        e = tree == NULL ? ERR_INVALID : read_tree(tree, text, &found);
        if (tree != NULL) {
            pg_query__parse_result__free_unpacked(tree, NULL);
        }
        pg_query_free_protobuf_parse_result(parsed);
    }
    free(copy);
    if (e != OK) {
        sql_namings_finish(&found);
        return e;
    }
    *out = found;
    return OK;
}

void sql_namings_finish(struct sql_namings *n)
{
    for (size_t i = 0; i < n->count; i++) {
        free((char *)n->items[i].name);
    }
    free(n->items);
    *n = (struct sql_namings){0};
}
