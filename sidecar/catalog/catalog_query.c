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
    ", (SELECT pg_catalog.count(*)" TEXT CONCAT "':'" CONCAT                                       \
    "coalesce(pg_catalog.sum(pg_catalog.hashtextextended(" alias ".xmin" TEXT CONCAT alias         \
    ".ctid" TEXT ", 0)), 0)" TEXT " FROM pg_catalog." catalog " " alias " WHERE" condition ")"

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

/* Rows of initdb are left out where they are many: nobody changes them. */
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
    SUM_OF("c", "pg_class", USER_CLASS)
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
    "]" TEXT " END";

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

/* ---- what is as good as PostgreSQL's own -------------------------------------------------------
 *
 * Extensions bring functions of names that everybody uses: citext an =, hstore an ->, pg_trgm a %.
 * What only computes from its arguments (it reads no table, file, setting of others or network) may
 * be called like PostgreSQL's own. By what a function is, never by what it is called or who owns
 * it; and never where a default of an argument, a setting of its own or a planner's function could
 * run something else. */

/* INTERNALlanguageId, ClanguageId, SQLlanguageId (pg_language.dat). */
#define IS_INTERNAL "p.prolang" EQ "12" OID
#define IS_C "p.prolang" EQ "13" OID
#define IS_SQL "p.prolang" EQ "14" OID

/* All functions of these modules compute; moddatetime is a trigger that sets the time. Not so
 * dblink, postgres_fdw, file_fdw, adminpack, pageinspect (they read), xml2 (xpath_table), tablefunc
 * (crosstab runs a text), unaccent (a dictionary is a file), lo. `vector` is pgvector's. */
#define COMPUTING_MODULES                                                                          \
    "ARRAY['$libdir/_int', '$libdir/btree_gin', '$libdir/btree_gist', '$libdir/citext',"           \
    " '$libdir/cube', '$libdir/earthdistance', '$libdir/fuzzystrmatch', '$libdir/hstore',"         \
    " '$libdir/isn', '$libdir/ltree', '$libdir/moddatetime', '$libdir/pg_trgm',"                   \
    " '$libdir/pgcrypto', '$libdir/seg', '$libdir/uuid-ossp', '$libdir/vector']" TEXT "[]"

/* What citext and isn take of the server itself, under names of their own. */
#define COMPUTING_INTERNALS                                                                        \
    "ARRAY['booltext', 'btint8cmp', 'hashint8', 'int8eq', 'int8ge', 'int8gt', 'int8le', 'int8lt'," \
    " 'int8ne', 'network_show', 'rtrim1', 'texticlike', 'texticnlike', 'texticregexeq',"           \
    " 'texticregexne', 'textin', 'textout', 'textrecv', 'textsend']" TEXT "[]"

/* The bodies of citext's replace, split_part, strpos, translate and regexp_*, to the byte (up to
 * version 1.6; PostgreSQL 18 has them parsed) by SHA-256: what FIPS knows, of ASCII only, which any
 * encoding can give. All in them is qualified but = and ||, which mean
 * PostgreSQL's own as long as nobody has others, and functions of pg_catalog, as long as nobody
 * added one. */
#define CITEXT_BODIES                                                                              \
    "ARRAY['1d0fd257397666c64db65b130404186fe0a7339c19e561cdca659ca66585d607',"                    \
    " '29d776eb9c50bb10d12c11037f47af61bf02a4874a37635c2a21b774d10d7513',"                         \
    " '2a117ec0d738971a8c65d96038fd8d74ec2850f044488f388f4e2f7b1926375a',"                         \
    " '402b46f0f2e6841730c384b53a739ab7c43be6aa7abab1ea84608205e2829557',"                         \
    " '6dbffad4e58ae473f60339e1b946724e52db75e95d6691daea15a4f4b482d915',"                         \
    " '802591ae96c4f714e2b0f1d7ceffcf718ab6693d74cc6435dd1880aaf31590f5',"                         \
    " '8069a971fa5b163b33f392983c0cc7860fe6d99f309985b7d5ac85368468795f',"                         \
    " '80aeed6829155a22a77e837d86a45477160937813e6c706181865a155cf8508a',"                         \
    " '8caa444dd6163f82bb4f2b0989910a4016f2b594c8876995108cdb1b10f421a8',"                         \
    " '95851325fa0310b28907220ad1efe0bc46fa7e5cd376332e2f72ed0ec24f964f',"                         \
    " 'd8f952819fe65deb7a7b6fe38b67fa95c40afded166f10c2758d7a86f1aa0d45',"                         \
    " 'de9d192b1f27afa991eed43759f715db72488a62cfee56c9e71454edc6bc14dc',"                         \
    " 'e13509d9a8f65b1c2364dd9dc4219719e17dd70db13bf4b6137a15a41f51d0f6',"                         \
    " 'f63a6df4223a8f2e87a80e91bef2731c048805e023e4a62e245b97910e73adc8']" TEXT "[]"
#define CITEXT_CALLS                                                                               \
    "ARRAY['lower', 'regexp_match', 'regexp_matches', 'regexp_replace', 'regexp_split_to_array',"  \
    " 'regexp_split_to_table', 'strpos', 'translate', 'upper']" NAME "[]"

/* clang-format off */

/* `of` is one of the sets below. */
#define IN_SET(value, of) value OID EQ "ANY (SELECT " of ".oid FROM " of ")"
#define IS_OURS(value) value OID LT FIRST_USER_OID

/* `computing`: functions that are as good, by themselves. `sound`: what may stand behind an
 * operator, an aggregate or a cast; of PostgreSQL's own only what computes from its arguments, for
 * pg_read_file would fit an aggregate too. */
#define SOUND_FUNCTIONS \
    "candidates AS MATERIALIZED (SELECT p.oid, p.prolang, p.prosrc FROM pg_catalog.pg_proc p" \
    " WHERE p.oid" GE FIRST_USER_OID " AND p.prokind" EQ "'f'" CHAR \
    " AND p.pronargdefaults" EQ "0::pg_catalog.int2 AND p.proconfig IS NULL" \
    " AND p.prosupport" OID EQ "0" OID \
    " AND (" IS_C " AND p.probin" EQ "ANY (" COMPUTING_MODULES ")" \
    " OR " IS_INTERNAL " AND p.prosrc" EQ "ANY (" COMPUTING_INTERNALS ")" \
    " OR " IS_SQL " AND CASE WHEN pg_catalog.octet_length(p.prosrc)" LT "512" \
    " AND p.prosrc OPERATOR(pg_catalog.~) '^[ -~[:space:]]*$'" \
    " THEN pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(p.prosrc, 'UTF8')), 'hex')" \
    EQ "ANY (" CITEXT_BODIES ") ELSE false END" \
    " AND (pg_catalog.to_jsonb(p) OPERATOR(pg_catalog.->>) 'prosqlbody') IS NULL))" \
    ", compiled AS MATERIALIZED (SELECT p.oid FROM candidates p WHERE NOT (" IS_SQL "))" \
    ", redirected AS MATERIALIZED (SELECT 1 FROM pg_catalog.pg_operator o" \
    " WHERE o.oid" GE FIRST_USER_OID \
    " AND (o.oprname" EQ "'='" NAME " OR o.oprname" EQ "'||'" NAME ")" \
    " AND NOT (" IN_SET("o.oprcode", "compiled") ")" \
    " UNION ALL SELECT 1 FROM pg_catalog.pg_proc p WHERE p.oid" GE FIRST_USER_OID \
    " AND p.pronamespace" EQ PG_CATALOG " AND p.proname" EQ "ANY (" CITEXT_CALLS "))" \
    ", computing AS MATERIALIZED (SELECT p.oid FROM candidates p" \
    " WHERE NOT (" IS_SQL ") OR NOT EXISTS (SELECT 1 FROM redirected))" \
    ", sound AS MATERIALIZED (SELECT 0" OID " AS oid UNION ALL SELECT f.oid FROM computing f" \
    " UNION ALL SELECT p.oid FROM pg_catalog.pg_proc p WHERE " IS_OURS("p.oid") \
    " AND p.provolatile" EQ "'i'" CHAR ")"

/* The functions that read and write a type's values are PostgreSQL's own or compute. An array is as
 * good as its elements. */
#define IS_SOUND_IO(function) "(" IS_OURS(function) " OR " IN_SET(function, "computing") ")"
#define SOUND_TYPES \
    "scalars AS MATERIALIZED (SELECT t.oid FROM pg_catalog.pg_type t WHERE t.oid" GE FIRST_USER_OID \
    " AND t.typtype" EQ "'b'" CHAR " AND t.typisdefined AND t.typelem" EQ "0" OID \
    " AND " IS_SOUND_IO("t.typinput") " AND " IS_SOUND_IO("t.typoutput") \
    " AND " IS_SOUND_IO("t.typreceive") " AND " IS_SOUND_IO("t.typsend") \
    " AND " IS_SOUND_IO("t.typmodin") " AND " IS_SOUND_IO("t.typmodout") ")" \
    ", sound_types AS MATERIALIZED (SELECT s.oid FROM scalars s UNION ALL" \
    " SELECT t.typarray FROM pg_catalog.pg_type t WHERE " IN_SET("t.oid", "scalars") ")"

/* CREATE CAST: a function that runs without being named. `cast_ends` are types that values are cast
 * from or to by one that is not as good; 0, when neither is a type of somebody's own: then it may
 * be anywhere. So it may with the row type of a table: the whole row is a value that names no type. A cast without a function takes the bytes of one type
 * for those of the other: only citext's and isn's are known to fit. */
#define CAN_INOUT(type) \
    "(" IS_OURS(type) " OR " IN_SET(type, "sound_types") " OR " IN_SET(type, "enums") ")"
#define CAN_RELABEL(type) "(" IN_SET(type, "sound_types") " OR " IN_SET(type, "strings") ")"
#define CASTS_OF_OTHERS \
    "enums AS MATERIALIZED (SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typtype" EQ "'e'" CHAR ")" \
    ", strings AS MATERIALIZED (SELECT t.oid FROM pg_catalog.pg_type t WHERE " IS_OURS("t.oid") \
    " AND t.typcategory" EQ "'S'" CHAR ")" \
    ", cast_of_others AS MATERIALIZED (SELECT k.castsource, k.casttarget, k.castfunc" \
    " FROM pg_catalog.pg_cast k WHERE k.oid" GE FIRST_USER_OID " AND NOT (" \
    "k.castmethod" EQ "'f'" CHAR " AND " IN_SET("k.castfunc", "sound") \
    " OR k.castmethod" EQ "'b'" CHAR " AND " CAN_RELABEL("k.castsource") \
    " AND " CAN_RELABEL("k.casttarget") \
    " OR k.castmethod" EQ "'i'" CHAR " AND " CAN_INOUT("k.castsource") \
    " AND " CAN_INOUT("k.casttarget") "))" \
    ", own_types AS MATERIALIZED (SELECT t.oid FROM pg_catalog.pg_type t" \
    " WHERE t.oid" GE FIRST_USER_OID " AND (t.typrelid" EQ "0" OID \
    " OR EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE c.oid" EQ "t.typrelid" \
    " AND c.relkind" EQ "'c'" CHAR ")))" \
    ", cast_ends(oid, function) AS (SELECT k.castsource, k.castfunc FROM cast_of_others k" \
    " WHERE " IN_SET("k.castsource", "own_types") \
    " UNION SELECT k.casttarget, k.castfunc FROM cast_of_others k" \
    " WHERE " IN_SET("k.casttarget", "own_types") \
    " UNION SELECT 0" OID ", k.castfunc FROM cast_of_others k" \
    " WHERE NOT (" IN_SET("k.castsource", "own_types") ")" \
    " AND NOT (" IN_SET("k.casttarget", "own_types") "))" \
    ", made_of(whole, part) AS MATERIALIZED (" \
    "SELECT t.oid, t.typelem FROM pg_catalog.pg_type t WHERE t.typelem" GE FIRST_USER_OID \
    " UNION ALL SELECT t.oid, t.typbasetype FROM pg_catalog.pg_type t" \
    " WHERE t.typtype" EQ "'d'" CHAR " AND t.typbasetype" GE FIRST_USER_OID \
    " UNION ALL SELECT r.rngtypid, r.rngsubtype FROM pg_catalog.pg_range r" \
    " WHERE r.rngsubtype" GE FIRST_USER_OID \
    " UNION ALL SELECT c.reltype, a.atttypid FROM pg_catalog.pg_attribute a" \
    " JOIN pg_catalog.pg_class c ON c.oid" EQ "a.attrelid AND c.reltype" NE "0" OID \
    " WHERE a.atttypid" GE FIRST_USER_OID ")" \
    ", cast_types(oid, function) AS (SELECT e.oid, e.function FROM cast_ends e" \
    " UNION SELECT m.whole, d.function FROM cast_types d JOIN made_of m ON m.part" EQ "d.oid)"

/* What is good by itself, but is made for values that such a cast may bring. */
#define TAKES_CAST_TYPE \
    "EXISTS (SELECT 1 FROM cast_types d WHERE d.oid" EQ "p.prorettype" \
    " OR d.oid" EQ "ANY (p.proargtypes) OR d.oid" EQ "ANY (p.proallargtypes))"
#define GOOD_NAMES \
    "good AS MATERIALIZED (SELECT p.oid FROM pg_catalog.pg_proc p JOIN computing f ON f.oid" EQ \
    "p.oid WHERE NOT " TAKES_CAST_TYPE \
    " UNION ALL SELECT p.oid FROM pg_catalog.pg_proc p" \
    " JOIN pg_catalog.pg_aggregate g ON g.aggfnoid" OID EQ "p.oid" \
    " LEFT JOIN pg_catalog.pg_operator o ON o.oid" EQ "g.aggsortop" \
    " WHERE p.oid" GE FIRST_USER_OID " AND p.pronargdefaults" EQ "0::pg_catalog.int2" \
    " AND p.proconfig IS NULL AND NOT " TAKES_CAST_TYPE \
    " AND " IN_SET("g.aggtransfn", "sound") " AND " IN_SET("g.aggfinalfn", "sound") \
    " AND " IN_SET("g.aggcombinefn", "sound") " AND " IN_SET("g.aggserialfn", "sound") \
    " AND " IN_SET("g.aggdeserialfn", "sound") " AND " IN_SET("g.aggmtransfn", "sound") \
    " AND " IN_SET("g.aggminvtransfn", "sound") " AND " IN_SET("g.aggmfinalfn", "sound") \
    " AND (o.oid IS NULL OR " IN_SET("o.oprcode", "sound") "))" \
    ", good_code AS MATERIALIZED (SELECT 0" OID " AS oid UNION ALL SELECT g.oid FROM good g" \
    " UNION ALL SELECT s.oid FROM sound s WHERE " IS_OURS("s.oid") ")" \
    ", plain_operators AS MATERIALIZED (SELECT 0" OID " AS oid UNION ALL" \
    " SELECT o.oid FROM pg_catalog.pg_operator o WHERE " IS_OURS("o.oid") \
    " OR " IN_SET("o.oprcode", "good_code") ")"

/* The planner may put a commutator or a negator in an operator's place, also in that of
 * PostgreSQL's own, which has one of somebody else's if it had none before. */
#define IS_GOOD_OPERATOR \
    "(" IN_SET("o.oprcode", "good_code") " AND " IS_SOUND_IO("o.oprrest") \
    " AND " IS_SOUND_IO("o.oprjoin") " AND " IN_SET("o.oprcom", "plain_operators") \
    " AND " IN_SET("o.oprnegate", "plain_operators") ")"
#define IS_TURNED_OPERATOR \
    "(" IS_OURS("o.oid") " AND (o.oprcom" GE FIRST_USER_OID " OR o.oprnegate" GE FIRST_USER_OID "))"

/* Operators whose names are those of PostgreSQL's own that no value makes fail: these may. hstore's
 * do not. */
#define MAY_FAIL \
    "o.oid" GE FIRST_USER_OID " AND o.oprname" EQ "ANY (ARRAY['||', '->', '->>', '#>', '#>>']" \
    NAME "[]) AND EXISTS (SELECT 1 FROM pg_catalog.pg_proc p WHERE p.oid" EQ "o.oprcode" OID \
    " AND NOT coalesce(p.probin" EQ "'$libdir/hstore', false))"

/* ---- what runs when a row is written -----------------------------------------------------------
 *
 * Functions of triggers and their conditions, of columns' defaults, generated columns and CHECK
 * constraints, those of domains too. They run as well when the row is written through a relation
 * above it (a partitioned table, a view) or by a foreign key's ON DELETE or ON UPDATE.
 *
 * `foreign_code` is made an array and back for the planner's sake: it takes that for a few rows,
 * where it would else expect so many that it compiles the query for seconds (jit_above_cost). */
#define CODE_OF(catalog, object) \
    " JOIN pg_catalog.pg_depend d ON d.classid" EQ "'pg_catalog." catalog "'::pg_catalog.regclass" \
    OID " AND d.objid" EQ object \
    " LEFT JOIN pg_catalog.pg_operator o ON o.oid" EQ "d.refobjid" \
    " AND d.refclassid" EQ "'pg_catalog.pg_operator'::pg_catalog.regclass" OID \
    " JOIN foreign_code f ON f.oid" EQ "coalesce(o.oprcode" OID ", d.refobjid)" \
    " WHERE (d.refclassid" EQ "'pg_catalog.pg_proc'::pg_catalog.regclass" OID \
    " OR o.oid IS NOT NULL)"
#define WRITING \
    "foreign_code AS MATERIALIZED (SELECT f.oid FROM pg_catalog.unnest(ARRAY(" \
    "SELECT p.oid FROM pg_catalog.pg_proc p" \
    " WHERE p.oid" GE FIRST_USER_OID " AND NOT (" IN_SET("p.oid", "good") "))) f(oid))" \
    ", domain_code(type, function) AS (SELECT t.oid, f.oid FROM pg_catalog.pg_type t" \
    CODE_OF("pg_type", "t.oid") " AND t.typtype" EQ "'d'" CHAR \
    " UNION SELECT k.contypid, f.oid FROM pg_catalog.pg_constraint k" \
    CODE_OF("pg_constraint", "k.oid") " AND k.contypid" NE "0" OID ")" \
    ", type_code(type, function) AS (SELECT d.type, d.function FROM domain_code d" \
    " UNION SELECT m.whole, c.function FROM type_code c JOIN made_of m ON m.part" EQ "c.type)" \
    ", row_code(relation, function) AS (" \
    "SELECT g.tgrelid, f.oid FROM pg_catalog.pg_trigger g" \
    " JOIN foreign_code f ON f.oid" EQ "g.tgfoid" OID " WHERE g.tgenabled" NE "'D'" CHAR \
    " UNION SELECT g.tgrelid, f.oid FROM pg_catalog.pg_trigger g" \
    CODE_OF("pg_trigger", "g.oid") " AND g.tgenabled" NE "'D'" CHAR \
    " UNION SELECT x.adrelid, f.oid FROM pg_catalog.pg_attrdef x" CODE_OF("pg_attrdef", "x.oid") \
    " UNION SELECT k.conrelid, f.oid FROM pg_catalog.pg_constraint k" \
    CODE_OF("pg_constraint", "k.oid") " AND k.contype" EQ "'c'" CHAR \
    " AND k.conrelid" NE "0" OID \
    " UNION SELECT a.attrelid, c.function FROM type_code c JOIN pg_catalog.pg_attribute a" \
    " ON a.atttypid" EQ "c.type WHERE NOT a.attisdropped)" \
    ", writing(relation, function) AS (SELECT r.relation, r.function FROM row_code r" \
    " UNION SELECT u.relation, w.function FROM writing w JOIN (" \
    "SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits i" \
    " UNION ALL SELECT k.conrelid, k.confrelid FROM pg_catalog.pg_constraint k" \
    " WHERE k.contype" EQ "'f'" CHAR " AND (k.confupdtype" EQ "ANY (ARRAY['c', 'n', 'd']" CHAR \
    "[]) OR k.confdeltype" EQ "ANY (ARRAY['c', 'n', 'd']" CHAR "[]))" \
    " UNION ALL SELECT d.refobjid, r.ev_class FROM pg_catalog.pg_rewrite r" \
    " JOIN pg_catalog.pg_depend d ON d.objid" EQ "r.oid" \
    " AND d.classid" EQ "'pg_catalog.pg_rewrite'::pg_catalog.regclass" OID \
    " AND d.refclassid" EQ "'pg_catalog.pg_class'::pg_catalog.regclass" OID \
    " AND r.rulename" EQ "'_RETURN'" NAME \
    ") u(below, relation) ON u.below" EQ "w.relation)"

/* Row types are left out: they have the names of their relations. */
static const char NAMES[] =
    "WITH RECURSIVE " ALIENS ", " SOUND_FUNCTIONS ", " SOUND_TYPES ", " CASTS_OF_OTHERS
    ", " GOOD_NAMES ", " WRITING
    ", named(kind, schema, oid, name, note) AS ("
    "SELECT 'f', p.pronamespace, p.oid, p.proname, NULL" TEXT " FROM pg_catalog.pg_proc p"
    " WHERE NOT (" IN_SET("p.oid", "good") ")"
    " UNION ALL SELECT 'o', o.oprnamespace, o.oid, o.oprname, NULL FROM pg_catalog.pg_operator o"
    " WHERE NOT " IS_GOOD_OPERATOR
    " UNION ALL SELECT 't', t.typnamespace, t.oid, t.typname"
    ", CASE WHEN t.typtype" EQ "'e'" CHAR " THEN 'enum' END FROM pg_catalog.pg_type t"
    " WHERE t.typrelid" EQ "0" OID " AND (NOT (" IN_SET("t.oid", "sound_types") ")"
    " OR " IN_SET("t.oid", "cast_types") "))"
    " SELECT DISTINCT s.kind, n.nspname" TEXT ", s.name" TEXT ", NULL" TEXT ", s.note"
    " FROM named s JOIN pg_catalog.pg_namespace n ON n.oid" EQ "s.schema"
    " WHERE (s.schema" NE PG_CATALOG " OR s.oid" GE FIRST_USER_OID ") AND" NOT_ALIEN("s.schema")
    " UNION ALL SELECT DISTINCT 'o', 'pg_catalog', o.oprname" TEXT ", NULL, NULL"
    " FROM pg_catalog.pg_operator o WHERE " IS_TURNED_OPERATOR
    " UNION ALL SELECT DISTINCT 'p', n.nspname" TEXT ", o.oprname" TEXT ", NULL, NULL"
    " FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid" EQ "o.oprnamespace"
    " WHERE " MAY_FAIL " AND" NOT_ALIEN("o.oprnamespace")
    " UNION ALL SELECT 'c', m.nspname" TEXT ", p.proname" TEXT ", t.oid" TEXT ", t.typname" TEXT
    " FROM cast_types d LEFT JOIN pg_catalog.pg_type t ON t.oid" EQ "d.oid"
    " LEFT JOIN pg_catalog.pg_proc p ON p.oid" EQ "d.function" OID
    " LEFT JOIN pg_catalog.pg_namespace m ON m.oid" EQ "p.pronamespace"
    " WHERE d.oid" EQ "0" OID " OR" NOT_ALIEN("t.typnamespace")
    " UNION ALL SELECT 'w', m.nspname" TEXT ", p.proname" TEXT ", w.relation" TEXT ", NULL"
    " FROM writing w JOIN pg_catalog.pg_proc p ON p.oid" EQ "w.function" OID
    " JOIN pg_catalog.pg_namespace m ON m.oid" EQ "p.pronamespace"
    " JOIN pg_catalog.pg_class c ON c.oid" EQ "w.relation"
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
        [CATALOG_QUERY_NAMES] = NAMES,
    };
    return texts[q];
}
