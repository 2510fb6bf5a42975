/* The questions to the server.
 *
 * The agent's session asks them, with the agent's search path: so every function, operator and
 * type in them is qualified, and nothing is used that looks for an operator by its bare name: IN,
 * BETWEEN, LIKE, CASE x WHEN, NULLIF, IS DISTINCT FROM, JOIN USING. No backslash is in a literal
 * (standard_conforming_strings may be off). */
#include "sidecar/catalog/catalog_internal.h"

#define EQ " OPERATOR(pg_catalog.=) "
#define NE " OPERATOR(pg_catalog.<>) "
#define GE " OPERATOR(pg_catalog.>=) "
#define LT " OPERATOR(pg_catalog.<) "
#define CONCAT " OPERATOR(pg_catalog.||) "
#define TEXT "::pg_catalog.text"
#define OID "::pg_catalog.oid"
#define CHAR "::pg_catalog.\"char\""
#define NAME "::pg_catalog.name"

/* FirstNormalObjectId (access/transam.h): what initdb made has a lower oid. */
#define FIRST_USER_OID "16384" OID
/* PG_CATALOG_NAMESPACE (catalog/pg_namespace.dat). */
#define PG_CATALOG "11" OID

/* `aliens` are the temporary schemas of other sessions: nobody here can use what is in them, and
 * they come and go too often to count as changes. */
#define ALIENS                                                                                     \
    "aliens AS MATERIALIZED (SELECT n.oid FROM pg_catalog.pg_namespace n"                          \
    " WHERE pg_catalog.pg_is_other_temp_schema(n.oid))"
#define NOT_ALIEN(schema) " NOT (" schema EQ "ANY (SELECT aliens.oid FROM aliens))"
#define ALIEN_RELATIONS                                                                            \
    "alien_relations AS MATERIALIZED (SELECT c.oid FROM pg_catalog.pg_class c"                     \
    " WHERE c.relnamespace" EQ "ANY (SELECT aliens.oid FROM aliens))"
#define NOT_OF_ALIEN(relation)                                                                     \
    " NOT (" relation EQ "ANY (SELECT alien_relations.oid FROM alien_relations))"

/* Of c and its schema n: made by initdb, or a TOAST table. What an extension or an administrator
 * adds to pg_catalog is not PostgreSQL's own. */
#define IS_SYSTEM                                                                                  \
    "(pg_catalog.starts_with(n.nspname" TEXT ", 'pg_toast')"                                       \
    " OR (n.nspname" EQ "'pg_catalog'" NAME " OR n.nspname" EQ "'information_schema'" NAME ")"     \
    " AND c.oid" LT FIRST_USER_OID ")"
#define IS_VIEW "(c.relkind" EQ "'v'" CHAR " OR c.relkind" EQ "'m'" CHAR ")"
#define IS_INDEX "(c.relkind" EQ "'i'" CHAR " OR c.relkind" EQ "'I'" CHAR ")"

/* A version of a row is known by its place and the transaction that wrote it: no two live at the
 * same place under the same transaction. The sum does not depend on the order of the scan. */
#define SUM_OF(alias, catalog, condition)                                                          \
    "(SELECT pg_catalog.count(*)" TEXT CONCAT "':'" CONCAT                                         \
    "coalesce(pg_catalog.sum(pg_catalog.hashtextextended(" alias ".xmin" TEXT CONCAT alias         \
    ".ctid" TEXT ", 0)), 0)" TEXT " FROM pg_catalog." catalog " " alias " WHERE " condition ")"

/* Rows of initdb are left out where they are many: nobody changes them. */
static const char FINGERPRINT[] =
    "WITH " ALIENS ", " ALIEN_RELATIONS " SELECT ARRAY[current_user" TEXT
    ", pg_catalog.current_schemas(true)" TEXT
    ", " SUM_OF("n", "pg_namespace", NOT_ALIEN("n.oid")) ", " SUM_OF("c", "pg_class", "c.oid" GE FIRST_USER_OID " AND" NOT_ALIEN("c.relnamespace")) ", " SUM_OF(
        "a", "pg_attribute",
        "a.attrelid" GE FIRST_USER_OID " AND a.attnum"
        " OPERATOR(pg_catalog.>) 0::smallint AND" NOT_OF_ALIEN(
            "a.attrelid")) ", " SUM_OF("r", "pg_rewrite",
                                       "r.oid" GE FIRST_USER_OID " AND" NOT_OF_ALIEN(
                                           "r.ev_class")) ", " SUM_OF("i", "pg_inherits",
                                                                      NOT_OF_ALIEN(
                                                                          "i.inhrelid")) ","
                                                                                         " " SUM_OF("p",
                                                                                                    "pg_proc",
                                                                                                    "p.oid" GE
                                                                                                        FIRST_USER_OID
                                                                                                    " AND" NOT_ALIEN(
                                                                                                        "p.pronamespace")) ", " SUM_OF("o",
                                                                                                                                       "pg_operator",
                                                                                                                                       "o.oid" GE
                                                                                                                                           FIRST_USER_OID
                                                                                                                                       " AND" NOT_ALIEN(
                                                                                                                                           "o.oprnamespace")) ", " SUM_OF("t",
                                                                                                                                                                          "pg_type",
                                                                                                                                                                          "t.oid" GE
                                                                                                                                                                              FIRST_USER_OID
                                                                                                                                                                          " AND" NOT_ALIEN(
                                                                                                                                                                              "t.typnamespace")) "]" TEXT;

static const char PATH[] =
    "SELECT s.name" TEXT ", (n.oid" EQ "pg_catalog.pg_my_temp_schema())" TEXT
    " FROM pg_catalog.unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY s(name, position)"
    " JOIN pg_catalog.pg_namespace n ON n.nspname" EQ "s.name ORDER BY s.position";

static const char RELATIONS[] =
    "WITH " ALIENS " SELECT c.oid" TEXT ", n.nspname" TEXT ", c.relname" TEXT ", c.relkind" TEXT
    ", " IS_SYSTEM TEXT ", (n.oid" EQ "pg_catalog.pg_my_temp_schema())" TEXT
    ", (c.relhasrules AND EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite r WHERE r.ev_class" EQ "c.oid"
    " AND (r.rulename" NE "'_RETURN'" NAME " OR NOT " IS_VIEW ")))" TEXT ", (c.reltype" NE "0" OID
    ")" TEXT " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid" EQ
    "c.relnamespace"
    " WHERE" NOT_ALIEN("c.relnamespace");

/* `types`: their names do not depend on the search path: without "pg_catalog.", others always with
 * their schema. `bases`: what a domain, or a domain over domains, is in the end. */
static const char COLUMNS[] =
    "WITH RECURSIVE " ALIENS
    ", chain(oid, base) AS (SELECT t.oid, t.typbasetype FROM pg_catalog.pg_type t"
    " WHERE t.typtype" EQ "'d'" CHAR
    " UNION ALL SELECT k.oid, t.typbasetype FROM chain k JOIN pg_catalog.pg_type t"
    " ON t.oid" EQ "k.base WHERE t.typtype" EQ "'d'" CHAR ")"
    ", bases AS MATERIALIZED (SELECT k.oid, k.base FROM chain k JOIN pg_catalog.pg_type t"
    " ON t.oid" EQ "k.base WHERE t.typtype" NE "'d'" CHAR ")"
    ", types AS MATERIALIZED (SELECT t.oid, CASE"
    " WHEN t.oid" LT FIRST_USER_OID " AND t.typnamespace" EQ PG_CATALOG
    " THEN pg_catalog.regexp_replace(pg_catalog.format_type(t.oid, NULL), '^pg_catalog[.]', '')"
    " WHEN e.oid IS NOT NULL THEN pg_catalog.quote_ident(n.nspname" TEXT ")" CONCAT "'.'" CONCAT
    "pg_catalog.quote_ident(e.typname" TEXT ")" CONCAT "'[]'"
    " ELSE pg_catalog.quote_ident(n.nspname" TEXT ")" CONCAT "'.'" CONCAT
    "pg_catalog.quote_ident(t.typname" TEXT ") END AS name"
    " FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid" EQ "t.typnamespace"
    " LEFT JOIN pg_catalog.pg_type e ON e.typarray" EQ "t.oid)"
    " SELECT a.attrelid" TEXT ", a.attnum" TEXT ", a.attname" TEXT ", t.oid" TEXT ", t.name"
    ", (a.attgenerated" NE "''" CHAR ")" TEXT
    " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid" EQ "a.attrelid"
    " LEFT JOIN bases b ON b.oid" EQ "a.atttypid"
    " JOIN types t ON t.oid" EQ "coalesce(b.base, a.atttypid)"
    " WHERE a.attnum OPERATOR(pg_catalog.>) 0::smallint AND NOT a.attisdropped"
    " AND NOT " IS_INDEX " AND" NOT_ALIEN("c.relnamespace");

static const char VIEWS[] =
    "WITH " ALIENS " SELECT c.oid" TEXT ", pg_catalog.pg_get_viewdef(c.oid, false)"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid" EQ "c.relnamespace"
    " WHERE " IS_VIEW " AND NOT " IS_SYSTEM " AND" NOT_ALIEN("c.relnamespace");

static const char PARENTS[] =
    "WITH " ALIENS " SELECT i.inhrelid" TEXT ", i.inhparent" TEXT
    " FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid" EQ "i.inhrelid"
    " WHERE NOT " IS_INDEX " AND" NOT_ALIEN("c.relnamespace");

/* Row types are left out: they have the names of their relations. */
static const char NAMES[] =
    "WITH " ALIENS ", named(kind, schema, oid, name) AS ("
    "SELECT 'f', p.pronamespace, p.oid, p.proname FROM pg_catalog.pg_proc p"
    " UNION ALL SELECT 'o', o.oprnamespace, o.oid, o.oprname FROM pg_catalog.pg_operator o"
    " UNION ALL SELECT 't', t.typnamespace, t.oid, t.typname FROM pg_catalog.pg_type t"
    " WHERE t.typrelid" EQ "0" OID ")"
    " SELECT DISTINCT s.kind, n.nspname" TEXT ", s.name" TEXT
    " FROM named s JOIN pg_catalog.pg_namespace n ON n.oid" EQ "s.schema"
    " WHERE (s.schema" NE PG_CATALOG " OR s.oid" GE FIRST_USER_OID ") AND" NOT_ALIEN("s.schema");

const char *catalog_query_text(enum catalog_query q)
{
    static const char *const texts[CATALOG_QUERY_COUNT] = {
        [CATALOG_QUERY_FINGERPRINT] = FINGERPRINT,
        [CATALOG_QUERY_PATH] = PATH,
        [CATALOG_QUERY_RELATIONS] = RELATIONS,
        [CATALOG_QUERY_COLUMNS] = COLUMNS,
        [CATALOG_QUERY_VIEWS] = VIEWS,
        [CATALOG_QUERY_PARENTS] = PARENTS,
        [CATALOG_QUERY_NAMES] = NAMES,
    };
    return texts[q];
}
