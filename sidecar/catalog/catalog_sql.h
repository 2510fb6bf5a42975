/* Between the queries: how names are written that no search path changes. For their sources only.
 */
#ifndef CHAPERONE_SIDECAR_CATALOG_SQL_H
#define CHAPERONE_SIDECAR_CATALOG_SQL_H

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

/* CATALOG_QUERY_NAMES (catalog_names.c). */
extern const char catalog_names_text[];

#endif
