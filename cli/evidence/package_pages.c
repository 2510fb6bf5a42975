/* index.html and the pages behind it, and VERIFY.md. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/crypto/crypto.h"
#include "cli/evidence/html.h"
#include "cli/evidence/package_internal.h"

enum {
    INDEX_ROWS = 200, /* of each table on the first page */
    PAGE_ROWS = 1000, /* on the others */
    MASKED_SHOWN = 1000,
};

static const char verify_text[] =
    "# How to check this package\n"
    "\n"
    "With the `chaperone` command, offline, on the zip file or the unpacked folder:\n"
    "\n"
    "    chaperone audit verify FILE.zip --log-key KEY\n"
    "\n"
    "KEY is the log's verifier key, which you should have from somebody else than who gave you "
    "the\n"
    "package. Without --log-key the key in `keys.json` is used, which proves only that the package "
    "is\n"
    "whole in itself.\n"
    "\n"
    "Without it, with stock tools:\n"
    "\n"
    "1. `manifest.json` has the SHA-256 of every other file: compare (sha256sum).\n"
    "2. `checkpoint` is a C2SP signed note: origin, number of records, root hash, signatures. "
    "Verify an\n"
    "   Ed25519 signature with a key that you trust, and the witnesses' cosignatures.\n"
    "3. Compute the root from `tiles/` (C2SP tlog-tiles, RFC 6962) and compare it.\n"
    "4. `records/*.rec` has the records: position (8 bytes, big-endian), size (4 bytes), bytes. "
    "The hash\n"
    "   of a record is SHA-256 of a zero byte and its bytes; its leaf is SHA-256 of a zero byte "
    "and that\n"
    "   hash; the leaf is number position - 1 of the level 0 tiles. A size of 0 stands for content "
    "that\n"
    "   was erased: the 32 bytes behind it are the record's hash.\n"
    "5. `proofs/*.tlog-proof` (of a sample) prove single records without the tiles.\n"
    "6. The sample is drawn by SHA-256(seed, zero byte, hash of the record): the smallest are "
    "taken.\n"
    "\n"
    "The steps in full, with code, are in docs/verify.md of the Chaperone project; what every file "
    "is,\n"
    "in docs/evidence.md.\n";

/* --- the overview ------------------------------------------------------------------------------
 */

static void put_row(FILE *out, const char *name, const char *value)
{
    (void)fputs("<tr><th>", out);
    html_string(out, name);
    (void)fputs("</th>", out);
    html_cell(out, value);
    (void)fputs("</tr>\n", out);
}

static void put_time(FILE *out, const char *name, int64_t wall_ns, const char *otherwise)
{
    (void)fputs("<tr><th>", out);
    html_string(out, name);
    (void)fputs("</th>", out);
    if (wall_ns == 0) {
        html_cell(out, otherwise);
    } else {
        html_cell_time(out, wall_ns);
    }
    (void)fputs("</tr>\n", out);
}

static void put_count(FILE *out, const char *name, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    put_row(out, name, text);
}

static const char *or_any(const char *text)
{
    return text[0] == '\0' ? "any" : text;
}

static void put_overview(const struct package *p, FILE *out)
{
    struct collection *c = p->with.collection;
    const Chaperone__V1__ExportHeader *header = collection_header(c);
    const Chaperone__V1__SearchRequest *filter = p->with.request->filter;
    char root[2 * COLLECTION_HASH_SIZE + 1];
    crypto_hex_encode(bytes_of(header->checkpoint->root.data, COLLECTION_HASH_SIZE), root);
    (void)fputs("<table>\n", out);
    put_time(out, "Made", header->made_unix_ns, "");
    put_row(out, "By", header->made_by);
    put_row(out, "Reason", p->with.request->reason);
    put_time(out, "From", filter->since_unix_ns, "the beginning");
    put_time(out, "To", filter->until_unix_ns, "when it was made");
    put_row(out, "Identity", or_any(filter->identity));
    put_row(out, "Resource", or_any(filter->resource));
    put_row(out, "Session", or_any(filter->session));
    put_count(out, "Records", collection_count(c));
    put_count(out, "of which erased", collection_erased(c));
    put_row(out, "Log", header->checkpoint->origin);
    put_count(out, "Records in the log", header->checkpoint->size);
    put_row(out, "Root hash", root);
    (void)fputs("</table>\n<p class=\"note\">The records that match are all in here, up to the "
                "checkpoint of the log. <a href=\"VERIFY.md\">How to check that</a>; "
                "<a href=\"manifest.json\">what is in the package</a>; all records as "
                "<a href=\"records.csv\">CSV</a> and <a href=\"records.jsonl\">JSON lines</a>; "
                "<a href=\"checkpoint\">the signed checkpoint</a>; the "
                "<a href=\"identities.json\">agents</a>, the keys of their "
                "<a href=\"issuers.json\">identity providers</a>, the "
                "<a href=\"sidecars.json\">sidecars</a>.</p>\n",
                out);
}

static void put_kinds(const struct package *p, FILE *out)
{
    static const char *const columns[] = {"Kind", "Records", NULL};
    struct collection *c = p->with.collection;
    (void)fputs("<h2>Records by kind</h2>\n", out);
    html_table_begin(out, columns);
    for (size_t n = 0; n < collection_kinds(c); n++) {
        uint64_t count = 0;
        const char *name = collection_kind_name(c, n, &count);
        (void)fputs("<tr>", out);
        html_cell(out, name);
        html_cell_number(out, count);
        (void)fputs("</tr>\n", out);
    }
    html_table_end(out);
}

static void put_masked(const struct package *p, FILE *out)
{
    static const char *const columns[] = {"Resource", "Column",  "Rule", "Found by",
                                          "Rows",     "Answers", NULL};
    struct collection *c = p->with.collection;
    size_t count = collection_masked_count(c);
    (void)fputs("<h2>Masked columns</h2>\n", out);
    if (count == 0) {
        (void)fputs("<p class=\"note\">None.</p>\n", out);
        return;
    }
    html_table_begin(out, columns);
    for (size_t n = 0; n < count && n < MASKED_SHOWN; n++) {
        const struct collection_masked *m = collection_masked(c, n);
        (void)fputs("<tr>", out);
        html_cell(out, m->resource);
        html_cell(out, m->column);
        html_cell(out, m->rule);
        html_cell(out, m->by_content ? "content" : "column");
        html_cell_number(out, m->rows);
        html_cell_number(out, m->outcomes);
        (void)fputs("</tr>\n", out);
    }
    html_table_end(out);
    (void)fputs(
        "<p class=\"note\">Every receipt is in <a href=\"masking.jsonl\">masking.jsonl</a>, "
        "the masked rows are in the sessions' data.</p>\n",
        out);
}

/* --- tables and their pages --------------------------------------------------------------------
 */

static size_t pages_of(size_t rows)
{
    return rows <= INDEX_ROWS ? 0 : (rows + PAGE_ROWS - 1) / PAGE_ROWS;
}

static enum err put_table(struct package *p, enum package_table table, FILE *out)
{
    size_t rows = package_table_rows(p, table);
    size_t pages = pages_of(rows);
    enum err e = OK;
    (void)fputs("<h2>", out);
    html_string(out, package_table_title(table));
    (void)fprintf(out, " (%zu)</h2>\n", rows);
    if (rows == 0) {
        (void)fputs("<p class=\"note\">None.</p>\n", out);
        return OK;
    }
    e = package_table_write(p, table, 0, rows < INDEX_ROWS ? rows : INDEX_ROWS, "", out);
    if (pages > 0) {
        (void)fprintf(out, "<p>The first %d. All of them:", INDEX_ROWS);
        for (size_t n = 1; n <= pages; n++) {
            (void)fprintf(out, " <a href=\"pages/%s-%05zu.html\">%zu</a>",
                          package_table_name(table), n, n);
        }
        (void)fputs("</p>\n", out);
    }
    return e;
}

static enum err write_index(struct package *p)
{
    FILE *out = zip_begin(p->with.zip, "index.html");
    if (out == NULL) {
        return ERR_IO;
    }
    enum err e = html_begin(out, "Evidence of what agents did");
    put_overview(p, out);
    put_kinds(p, out);
    e = e == OK ? put_table(p, TABLE_SESSIONS, out) : e;
    e = e == OK ? put_table(p, TABLE_APPROVALS, out) : e;
    e = e == OK ? put_table(p, TABLE_REFUSALS, out) : e;
    put_masked(p, out);
    e = e == OK ? put_table(p, TABLE_POLICIES, out) : e;
    e = e == OK ? put_table(p, TABLE_ACTIONS, out) : e;
    html_end(out);
    enum err ended = zip_end(p->with.zip);
    return e == OK ? ended : e;
}

static enum err write_page(struct package *p, enum package_table table, size_t n)
{
    char name[PACKAGE_NAME_SIZE];
    size_t rows = package_table_rows(p, table), from = n * PAGE_ROWS;
    size_t to = rows - from < PAGE_ROWS ? rows : from + PAGE_ROWS;
    (void)snprintf(name, sizeof(name), "pages/%s-%05zu.html", package_table_name(table), n + 1);
    FILE *out = zip_begin(p->with.zip, name);
    if (out == NULL) {
        return ERR_IO;
    }
    enum err e = html_begin(out, package_table_title(table));
    (void)fprintf(out, "<p><a href=\"../index.html\">Overview</a>; %zu to %zu of %zu</p>\n",
                  from + 1, to, rows);
    e = e == OK ? package_table_write(p, table, from, to, "../", out) : e;
    html_end(out);
    enum err ended = zip_end(p->with.zip);
    return e == OK ? ended : e;
}

enum err package_write_pages(struct package *p)
{
    enum err e = write_index(p);
    for (int table = 0; e == OK && table < TABLES; table++) {
        size_t pages = pages_of(package_table_rows(p, (enum package_table)table));
        for (size_t n = 0; e == OK && n < pages; n++) {
            e = p->with.on_progress(p->with.context, p->done, p->total)
                    ? write_page(p, (enum package_table)table, n)
                    : ERR_CLOSED;
        }
    }
    return e == OK ? zip_add(p->with.zip, "VERIFY.md", bytes_of_string(verify_text)) : e;
}
