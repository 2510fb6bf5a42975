/* The questions to the server.
 *
 * The agent's session asks them, with the agent's search path: so every function, operator and
 * type in them is qualified, and nothing is used that looks for an operator by its bare name: IN,
 * BETWEEN, LIKE, CASE x WHEN, NULLIF, IS DISTINCT FROM, JOIN USING. No backslash is in a literal
 * (standard_conforming_strings may be off). */
#include "sidecar/catalog/catalog_internal.h"
#include "sidecar/catalog/catalog_sql.h"

/* A version of a row is known by its place and the transaction that wrote it: no two live at the
 * same place under the same transaction. The sum does not depend on the order of the scan. */
#define VERSIONS_OF(alias, catalog, condition)                                                     \
    "(SELECT pg_catalog.count(*)" TEXT CONCAT "':'" CONCAT                                         \
    "coalesce(pg_catalog.sum(pg_catalog.hashtextextended(" alias ".xmin" TEXT CONCAT alias         \
    ".ctid" TEXT ", 0)), 0)" TEXT " FROM pg_catalog." catalog " " alias " WHERE" condition ")"
#define SUM_OF(alias, catalog, condition) ", " VERSIONS_OF(alias, catalog, condition)

/* Rows of pg_class get new versions whenever the data are put into another file: by TRUNCATE,
 * CLUSTER, VACUUM FULL, REINDEX. So there what is read of them is compared: all that the
 * queries below look at. Nobody can choose names that look like others by this digest, of bytes
 * that are taken as they are in any encoding (SQL_ASCII has none). */
#define CONTENT_OF_CLASSES                                                                         \
    ", (SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(coalesce("                \
    "pg_catalog.string_agg(c.oid" TEXT CONCAT "' '" CONCAT "c.relnamespace" TEXT CONCAT            \
    "' '" CONCAT "c.relkind" TEXT CONCAT "' '" CONCAT "c.relhasrules" TEXT CONCAT "' '" CONCAT     \
    "c.reltype" TEXT CONCAT "' '" CONCAT "pg_catalog.octet_length(c.relname" TEXT ")" TEXT CONCAT  \
    "' '" CONCAT "c.relname" TEXT ", ' ' ORDER BY c.oid), ''), 'SQL_ASCII'))"                      \
    ", 'hex') FROM pg_catalog.pg_class c WHERE" USER_CLASS ")"

/* The server resolves names by the catalog of the moment, but these queries, in a transaction with
 * one snapshot for all of it, see the catalog of its beginning. So there they look also by what is
 * not bound to that snapshot: functions that ask the server's own caches, and currtid2, which
 * follows a row to its latest version. */
#define HAS_FIXED_SNAPSHOT                                                                         \
    "(pg_catalog.current_setting('transaction_isolation')" EQ "'repeatable read'"                  \
    " OR pg_catalog.current_setting('transaction_isolation')" EQ "'serializable'"                  \
    ")"
#define HAS_NEWER(alias, catalog, condition)                                                       \
    "EXISTS (SELECT 1 FROM pg_catalog." catalog " " alias " WHERE" condition                       \
    " AND pg_catalog.currtid2('pg_catalog." catalog "', " alias ".ctid)" NE alias ".ctid)"

#define USER_CLASS " c.oid" GE FIRST_USER_OID " AND" NOT_ALIEN("c.relnamespace")
#define USER_ATTRIBUTE                                                                             \
    " a.attrelid" GE FIRST_USER_OID                                                                \
    " AND a.attnum OPERATOR(pg_catalog.>) 0::smallint AND" NOT_OF_ALIEN("a.attrelid")
#define USER_REWRITE " r.oid" GE FIRST_USER_OID " AND" NOT_OF_ALIEN("r.ev_class")

/* clang-format off */

/* Whether a relation has another name than in the snapshot, is gone, or is hidden by a new one. */
#define HAS_OTHER_NAMES \
    "EXISTS (SELECT 1 FROM pg_catalog.pg_class c" \
    " JOIN pg_catalog.pg_namespace n ON n.oid" EQ "c.relnamespace" \
    " WHERE" USER_CLASS \
    " AND coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), true)" \
    " AND coalesce(pg_catalog.to_regclass(pg_catalog.quote_ident(n.nspname" TEXT ")" \
    CONCAT "'.'" CONCAT "pg_catalog.quote_ident(c.relname" TEXT "))" OID NE "c.oid, true))" \
    " OR EXISTS (SELECT 1 FROM (SELECT DISTINCT ON (c.relname) c.oid" \
    " FROM pg_catalog.unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY s(name, place)" \
    " JOIN pg_catalog.pg_namespace n ON n.nspname" EQ "s.name" \
    " JOIN pg_catalog.pg_class c ON c.relnamespace" EQ "n.oid" \
    " ORDER BY c.relname, s.place) first" \
    " WHERE NOT coalesce(pg_catalog.pg_table_is_visible(first.oid), false))" \
    " OR EXISTS (SELECT 1 FROM pg_catalog.unnest(pg_catalog.current_schemas(true)) s(name)" \
    " WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n WHERE n.nspname" EQ "s.name))"

/* Rows of initdb are left out where they are many: nobody changes them. Behind the last blank are
 * the versions of what is compared by its content: what was one thing, another, and the first again
 * while the catalog was read has other versions. */
static const char FINGERPRINT[] =
    "WITH " ALIENS ", " ALIEN_RELATIONS
    " SELECT CASE WHEN " HAS_FIXED_SNAPSHOT
    " AND (" HAS_NEWER("n", "pg_namespace", NOT_ALIEN("n.oid"))
    " OR " HAS_NEWER("r", "pg_rewrite", USER_REWRITE)
    " OR " HAS_OTHER_NAMES
    " OR " HAS_NEWER("a", "pg_attribute", USER_ATTRIBUTE) ")"
    " THEN NULL ELSE ARRAY[current_user" TEXT
    ", pg_catalog.current_schemas(true)" TEXT
    SUM_OF("n", "pg_namespace", NOT_ALIEN("n.oid"))
    CONTENT_OF_CLASSES
    SUM_OF("a", "pg_attribute", USER_ATTRIBUTE)
    SUM_OF("r", "pg_rewrite", USER_REWRITE)
    SUM_OF("i", "pg_inherits", NOT_OF_ALIEN("i.inhrelid"))
    SUM_OF("p", "pg_proc", " p.oid" GE FIRST_USER_OID " AND" NOT_ALIEN("p.pronamespace"))
    SUM_OF("o", "pg_operator", " o.oid" GE FIRST_USER_OID " AND" NOT_ALIEN("o.oprnamespace"))
    SUM_OF("t", "pg_type", " t.oid" GE FIRST_USER_OID " AND" NOT_ALIEN("t.typnamespace"))
    SUM_OF("k", "pg_cast", " k.oid" GE FIRST_USER_OID)
    SUM_OF("g", "pg_trigger", " g.oid" GE FIRST_USER_OID " AND" NOT_OF_ALIEN("g.tgrelid"))
    SUM_OF("d", "pg_attrdef", " d.oid" GE FIRST_USER_OID " AND" NOT_OF_ALIEN("d.adrelid"))
    SUM_OF("x", "pg_constraint", " x.oid" GE FIRST_USER_OID
           " AND (x.contype" EQ "'c'" CHAR " OR x.contype" EQ "'f'" CHAR ") AND"
           NOT_OF_ALIEN("x.conrelid"))
    "]" TEXT CONCAT "' '" CONCAT VERSIONS_OF("c", "pg_class", USER_CLASS) " END";

static const char PATH[] =
    "SELECT s.name" TEXT ", (n.oid" EQ "pg_catalog.pg_my_temp_schema())" TEXT
    " FROM pg_catalog.unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY s(name, place)"
    " JOIN pg_catalog.pg_namespace n ON n.nspname" EQ "s.name ORDER BY s.place";

/* The indexes of TOAST tables are left out: nobody names them, and they are as many as tables. */
static const char RELATIONS[] =
    "WITH " ALIENS
    " SELECT c.oid" TEXT ", n.nspname" TEXT ", c.relname" TEXT ", c.relkind" TEXT
    ", " IS_SYSTEM TEXT
    ", (n.oid" EQ "pg_catalog.pg_my_temp_schema())" TEXT
    ", (c.relhasrules AND EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite r"
    " WHERE r.ev_class" EQ "c.oid AND (r.rulename" NE "'_RETURN'" NAME " OR NOT " IS_VIEW ")))" TEXT
    ", (c.reltype" NE "0" OID ")" TEXT
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid" EQ "c.relnamespace"
    " WHERE" NOT_ALIEN("c.relnamespace")
    " AND NOT (" IS_INDEX " AND pg_catalog.starts_with(n.nspname" TEXT ", 'pg_toast'))";

/* clang-format on */

/* As quote_ident, which would obey quote_all_identifiers. */
#define QUOTED(name)                                                                               \
    "(CASE WHEN " name TEXT " OPERATOR(pg_catalog.~) '^[a-z_][a-z0-9_]*$' THEN " name TEXT         \
    " ELSE '\"'" CONCAT "pg_catalog.replace(" name TEXT ", '\"', '\"\"')" CONCAT "'\"' END)"
/* "char" and its array: the only types of initdb that have to be quoted. */
#define CHAR_TYPE "18" OID
#define CHAR_ARRAY_TYPE "1002" OID

/* clang-format off */

/* `types`: their names depend on no setting, neither on the search path nor on
 * quote_all_identifiers: PostgreSQL's own without "pg_catalog.", others always with their schema.
 * `bases`: what a domain, or a domain over domains, is in the end. */
static const char COLUMNS[] =
    "WITH RECURSIVE " ALIENS
    ", chain(oid, base) AS (SELECT t.oid, t.typbasetype FROM pg_catalog.pg_type t"
    " WHERE t.typtype" EQ "'d'" CHAR
    " UNION ALL SELECT k.oid, t.typbasetype FROM chain k JOIN pg_catalog.pg_type t"
    " ON t.oid" EQ "k.base WHERE t.typtype" EQ "'d'" CHAR ")"
    ", bases AS MATERIALIZED (SELECT k.oid, k.base FROM chain k JOIN pg_catalog.pg_type t"
    " ON t.oid" EQ "k.base WHERE t.typtype" NE "'d'" CHAR ")"
    ", types AS MATERIALIZED (SELECT t.oid, CASE"
    " WHEN t.oid" EQ CHAR_TYPE " THEN '\"char\"' WHEN t.oid" EQ CHAR_ARRAY_TYPE
    " THEN '\"char\"[]' WHEN t.oid" LT FIRST_USER_OID " AND t.typnamespace" EQ PG_CATALOG
    " THEN pg_catalog.regexp_replace(pg_catalog.replace(pg_catalog.format_type(t.oid, NULL)"
    ", '\"', ''), '^pg_catalog[.]', '')"
    " WHEN e.oid IS NOT NULL THEN " QUOTED("n.nspname") CONCAT "'.'" CONCAT QUOTED("e.typname")
    CONCAT "'[]'"
    " ELSE " QUOTED("n.nspname") CONCAT "'.'" CONCAT QUOTED("t.typname") " END AS name"
    " FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid" EQ "t.typnamespace"
    " LEFT JOIN pg_catalog.pg_type e ON e.typarray" EQ "t.oid)"
    " SELECT a.attrelid" TEXT ", a.attnum" TEXT ", a.attname" TEXT ", t.oid" TEXT ", t.name"
    ", (a.attgenerated" NE "''" CHAR ")" TEXT
    " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid" EQ "a.attrelid"
    " LEFT JOIN bases b ON b.oid" EQ "a.atttypid"
    " JOIN types t ON t.oid" EQ "coalesce(b.base, a.atttypid)"
    " WHERE a.attnum OPERATOR(pg_catalog.>) 0::smallint AND NOT a.attisdropped"
    " AND NOT " IS_INDEX " AND" NOT_ALIEN("c.relnamespace");

/* pg_get_viewdef itself asks "... FROM pg_catalog.pg_rewrite WHERE ev_class = $1 AND rulename = $2"
 * (ruleutils.c) along the session's search path. Where that leads to another "=" than PostgreSQL's
 * own (oid '607' and '93' in pg_operator.dat), the answer would be the agent's choice: then there is
 * none. */
#define IS_TRUE_EQUALITY(type, oid)                                                                \
    "coalesce(pg_catalog.to_regoperator('=(pg_catalog." type ",pg_catalog." type ")')" OID EQ oid  \
    OID ", false)"

static const char VIEWS[] =
    "WITH " ALIENS " SELECT c.oid" TEXT
    ", CASE WHEN " IS_TRUE_EQUALITY("oid", "607") " AND " IS_TRUE_EQUALITY("name", "93")
    " THEN pg_catalog.pg_get_viewdef(c.oid, false) END"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid" EQ "c.relnamespace"
    " WHERE " IS_VIEW " AND NOT " IS_SYSTEM " AND" NOT_ALIEN("c.relnamespace");

static const char PARENTS[] =
    "WITH " ALIENS " SELECT i.inhrelid" TEXT ", i.inhparent" TEXT
    " FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid" EQ "i.inhrelid"
    " WHERE NOT " IS_INDEX " AND" NOT_ALIEN("c.relnamespace");

/* clang-format on */

const char *catalog_query_text(enum catalog_query q)
{
    static const char *const texts[CATALOG_QUERY_COUNT] = {
        [CATALOG_QUERY_FINGERPRINT] = FINGERPRINT,
        [CATALOG_QUERY_PATH] = PATH,
        [CATALOG_QUERY_RELATIONS] = RELATIONS,
        [CATALOG_QUERY_COLUMNS] = COLUMNS,
        [CATALOG_QUERY_VIEWS] = VIEWS,
        [CATALOG_QUERY_PARENTS] = PARENTS,
        [CATALOG_QUERY_NAMES] = catalog_names_text,
    };
    return texts[q];
}
