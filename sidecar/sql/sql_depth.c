/* A bound on the depth of a text's parse tree, from its tokens alone.
 *
 * libpg_query hands the tree over by recursion without a check, so `1+1+1...` of ten thousand terms
 * would end the process; the parser itself does not recurse. Prefixes and brackets cost the
 * parser's own stack (YYMAXDEPTH, 10,000 entries); operators to the left cost nothing there and are
 * what must be counted. The bound for one pair of brackets is
 *
 *     the longest run of operators between separators, around its deepest group
 *   + JOINs between commas + UNIONs in all
 *
 * Separators are what the grammar gathers into flat lists: the comma, AND and OR, the branches of
 * CASE. The AND of BETWEEN is none, and after `.` or AS every keyword may be a name. */
#include <pg_query.h>
#include <stdlib.h>

#include "sidecar/sql/sql_parse.h"
#include "sidecar/sql/sql_walk.h"

struct frame {
    unsigned operators, inner; /* of the current run, and the deepest group in it */
    unsigned longest;          /* run since the last comma */
    unsigned joins;
    unsigned deepest; /* of what commas have ended */
    unsigned sets;    /* UNION and its kin */
    bool is_case, in_between, has_select;
};

struct depth {
    struct frame *frames; /* SQL_DEPTH_MAX + 1 of them */
    size_t top;
    bool exceeded, after_name_mark, in_atomic;
};

static void run_end(struct frame *f)
{
    unsigned run = f->operators + f->inner;
    f->longest = run > f->longest ? run : f->longest;
    f->operators = f->inner = 0;
}

static void segment_end(struct frame *f)
{
    run_end(f);
    unsigned segment = f->longest + f->joins;
    f->deepest = segment > f->deepest ? segment : f->deepest;
    f->longest = f->joins = 0;
}

static void push(struct depth *d, bool is_case)
{
    if (d->top >= SQL_DEPTH_MAX) {
        d->exceeded = true;
        return;
    }
    d->frames[++d->top] = (struct frame){.is_case = is_case};
}

static unsigned frame_depth(struct frame *f)
{
    segment_end(f);
    /* In messages: an operator is two deep, CASE and its WHEN are four, a subquery is six. */
    return f->deepest + f->sets + (f->has_select ? 3 : f->is_case ? 2 : 1);
}

static void pop(struct depth *d)
{
    unsigned depth = frame_depth(&d->frames[d->top]);
    d->exceeded = d->exceeded || depth > SQL_DEPTH_MAX;
    d->top--;
    struct frame *f = &d->frames[d->top];
    f->inner = depth > f->inner ? depth : f->inner;
}

static void close_bracket(struct depth *d)
{
    while (d->top > 0 && d->frames[d->top].is_case) {
        pop(d);
    }
    if (d->top > 0) {
        pop(d);
    }
}

static void statement_end(struct depth *d)
{
    struct frame *f = &d->frames[d->top];
    if (d->top == 0 && !d->in_atomic) {
        d->exceeded = d->exceeded || frame_depth(f) > SQL_DEPTH_MAX;
        *f = (struct frame){0};
    }
}

static void take_keyword(struct depth *d, PgQuery__Token token)
{
    struct frame *f = &d->frames[d->top];
    switch (token) {
    case PG_QUERY__TOKEN__BETWEEN:
        f->in_between = true;
        f->operators++;
        break;
    case PG_QUERY__TOKEN__AND:
        if (f->in_between) {
            f->in_between = false;
        } else {
            run_end(f);
        }
        break;
    case PG_QUERY__TOKEN__OR: run_end(f); break;
    case PG_QUERY__TOKEN__SELECT:
        f->has_select = true;
        segment_end(f);
        break;
    case PG_QUERY__TOKEN__JOIN: f->joins++; break;
    case PG_QUERY__TOKEN__UNION:
    case PG_QUERY__TOKEN__INTERSECT:
    case PG_QUERY__TOKEN__EXCEPT: f->sets++; break;
    case PG_QUERY__TOKEN__CASE: push(d, true); break;
    case PG_QUERY__TOKEN__WHEN:
    case PG_QUERY__TOKEN__THEN:
    case PG_QUERY__TOKEN__ELSE:
        if (f->is_case) {
            run_end(f);
        } else {
            f->operators++;
        }
        break;
    case PG_QUERY__TOKEN__END_P:
        if (f->is_case) {
            pop(d);
        }
        break;
    case PG_QUERY__TOKEN__ATOMIC:
        /* Statements nest in the body of a function, semicolons and all: no end of one counts. */
        d->in_atomic = true;
        f->sets += 4;
        break;
    default: f->operators++; break;
    }
}

static void take_token(struct depth *d, const PgQuery__ScanToken *t)
{
    struct frame *f = &d->frames[d->top];
    bool may_be_name = d->after_name_mark;
    d->after_name_mark = t->token == PG_QUERY__TOKEN__ASCII_46 || t->token == PG_QUERY__TOKEN__AS;
    switch (t->token) {
    case PG_QUERY__TOKEN__SQL_COMMENT:
    case PG_QUERY__TOKEN__C_COMMENT: d->after_name_mark = may_be_name; break;
    case PG_QUERY__TOKEN__IDENT:
    case PG_QUERY__TOKEN__UIDENT:
    case PG_QUERY__TOKEN__FCONST:
    case PG_QUERY__TOKEN__SCONST:
    case PG_QUERY__TOKEN__USCONST:
    case PG_QUERY__TOKEN__BCONST:
    case PG_QUERY__TOKEN__XCONST:
    case PG_QUERY__TOKEN__ICONST:
    case PG_QUERY__TOKEN__PARAM: break;
    case PG_QUERY__TOKEN__ASCII_40:
    case PG_QUERY__TOKEN__ASCII_91: push(d, false); break;
    case PG_QUERY__TOKEN__ASCII_41:
    case PG_QUERY__TOKEN__ASCII_93: close_bracket(d); break;
    case PG_QUERY__TOKEN__ASCII_44: segment_end(f); break;
    case PG_QUERY__TOKEN__ASCII_59: statement_end(d); break;
    default:
        if (t->keyword_kind == PG_QUERY__KEYWORD_KIND__NO_KEYWORD) {
            f->operators++;
        } else if (!may_be_name) {
            take_keyword(d, t->token);
        }
        break;
    }
}

static enum err tokens_check(const PgQuery__ScanResult *tokens, struct arena *scratch)
{
    struct depth d = {.frames = arena_alloc(scratch, (SQL_DEPTH_MAX + 1) * sizeof(struct frame))};
    if (d.frames == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < tokens->n_tokens && !d.exceeded; i++) {
        take_token(&d, tokens->tokens[i]);
    }
    while (d.top > 0 && !d.exceeded) {
        pop(&d);
    }
    d.in_atomic = false;
    statement_end(&d);
    return d.exceeded ? ERR_LIMIT : OK;
}

/* Tokens that can make the tree deeper begin with one of these or with a word. */
static bool is_sparse(const char *text, size_t size)
{
    size_t count = 0;
    bool in_word = false;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
        bool digit = c >= '0' && c <= '9';
        bool space = c == ' ' || (c >= '\t' && c <= '\r') || c == ',' || c == '\'';
        count += word ? !in_word : !digit && !space;
        in_word = word || (digit && in_word);
    }
    return count <= SQL_DEPTH_MAX;
}

enum err depth_check(const char *text, size_t size, struct arena *scratch)
{
    if (is_sparse(text, size)) {
        return OK;
    }
    enum err e = OK;
    PgQueryScanResult scan = pg_query_scan(text);
    /* Where the scanner fails, the parser fails. */
    if (scan.error == NULL) {
        ProtobufCAllocator allocator = parse_allocator(scratch);
        PgQuery__ScanResult *tokens = pg_query__scan_result__unpack(
            &allocator, scan.pbuf.len, (const uint8_t *)scan.pbuf.data);
        e = tokens == NULL ? ERR_NO_MEMORY : tokens_check(tokens, scratch);
    }
    pg_query_free_scan_result(scan);
    return e;
}
