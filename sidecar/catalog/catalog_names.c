/* The question for what is not PostgreSQL's own: which names may lead to it, and which of it runs
 * without being named. As in catalog_query.c, all is qualified. */
#include "sidecar/catalog/catalog_sql.h"

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
    " OR t.typrelid" EQ "ANY (SELECT c.oid FROM pg_catalog.pg_class c" \
    " WHERE c.relkind" EQ "'c'" CHAR ")))" \
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
 * What is found is made arrays and back for the planner's sake: it takes those for a few rows, where
 * it would else expect so many that it compiles the query for seconds (jit_above_cost). */
#define FEW_ROWS(of, column) \
    " ROWS FROM (pg_catalog.unnest(ARRAY(SELECT x." column " FROM " of " x))," \
    " pg_catalog.unnest(ARRAY(SELECT x.function FROM " of " x)))"
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
    ", found_domain_code(type, function) AS MATERIALIZED (SELECT t.oid, f.oid FROM pg_catalog.pg_type t" \
    CODE_OF("pg_type", "t.oid") " AND t.typtype" EQ "'d'" CHAR \
    " UNION SELECT k.contypid, f.oid FROM pg_catalog.pg_constraint k" \
    CODE_OF("pg_constraint", "k.oid") " AND k.contypid" NE "0" OID ")" \
    ", type_code(type, function) AS (SELECT d.type, d.function FROM" \
    FEW_ROWS("found_domain_code", "type") " d(type, function)" \
    " UNION SELECT m.whole, c.function FROM type_code c JOIN made_of m ON m.part" EQ "c.type)" \
    ", found_row_code(relation, function) AS MATERIALIZED (" \
    "SELECT g.tgrelid, f.oid FROM pg_catalog.pg_trigger g" \
    " JOIN foreign_code f ON f.oid" EQ "g.tgfoid" OID " WHERE g.tgenabled" NE "'D'" CHAR \
    " UNION SELECT g.tgrelid, f.oid FROM pg_catalog.pg_trigger g" \
    CODE_OF("pg_trigger", "g.oid") " AND g.tgenabled" NE "'D'" CHAR \
    " UNION SELECT x.adrelid, f.oid FROM pg_catalog.pg_attrdef x" CODE_OF("pg_attrdef", "x.oid") \
    " UNION SELECT k.conrelid, f.oid FROM pg_catalog.pg_constraint k" \
    CODE_OF("pg_constraint", "k.oid") " AND k.contype" EQ "'c'" CHAR \
    " AND k.conrelid" NE "0" OID \
    " UNION SELECT a.attrelid, c.function FROM" FEW_ROWS("type_code", "type") \
    " c(type, function) JOIN pg_catalog.pg_attribute a" \
    " ON a.atttypid" EQ "c.type WHERE NOT a.attisdropped)" \
    ", above(below, relation) AS MATERIALIZED (" \
    "SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits i" \
    " UNION ALL SELECT k.conrelid, k.confrelid FROM pg_catalog.pg_constraint k" \
    " WHERE k.contype" EQ "'f'" CHAR " AND (k.confupdtype" EQ "ANY (ARRAY['c', 'n', 'd']" CHAR \
    "[]) OR k.confdeltype" EQ "ANY (ARRAY['c', 'n', 'd']" CHAR "[]))" \
    " UNION ALL SELECT d.refobjid, r.ev_class FROM pg_catalog.pg_rewrite r" \
    " JOIN pg_catalog.pg_depend d ON d.objid" EQ "r.oid" \
    " AND d.classid" EQ "'pg_catalog.pg_rewrite'::pg_catalog.regclass" OID \
    " AND d.refclassid" EQ "'pg_catalog.pg_class'::pg_catalog.regclass" OID \
    " AND r.rulename" EQ "'_RETURN'" NAME ")" \
    ", writing(relation, function) AS (SELECT r.relation, r.function FROM" \
    FEW_ROWS("found_row_code", "relation") " r(relation, function)" \
    " UNION SELECT u.relation, w.function FROM writing w JOIN above u ON u.below" EQ "w.relation)"

/* Row types are left out: they have the names of their relations. */
const char catalog_names_text[] =
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
    " UNION ALL SELECT 'd', m.nspname" TEXT ", p.proname" TEXT ", d.type" TEXT ", NULL FROM"
    FEW_ROWS("type_code", "type") " d(type, function)"
    " JOIN pg_catalog.pg_proc p ON p.oid" EQ "d.function" OID
    " JOIN pg_catalog.pg_namespace m ON m.oid" EQ "p.pronamespace"
    " UNION ALL SELECT 'w', m.nspname" TEXT ", p.proname" TEXT ", w.relation" TEXT ", NULL"
    " FROM writing w JOIN pg_catalog.pg_proc p ON p.oid" EQ "w.function" OID
    " JOIN pg_catalog.pg_namespace m ON m.oid" EQ "p.pronamespace"
    " JOIN pg_catalog.pg_class c ON c.oid" EQ "w.relation"
    " WHERE NOT " IS_INDEX " AND" NOT_ALIEN("c.relnamespace");

/* clang-format on */
