/* A row of the table of statements, and the functions that the rows name; for this folder only. */
#ifndef CHAPERONE_SIDECAR_SQL_RULES_H
#define CHAPERONE_SIDECAR_SQL_RULES_H

#include "sidecar/sql/sql_walk.h"

enum name_form { NAME_NONE, NAME_TEXT, NAME_LIST };

struct rule {
    const char *tag; /* "": only stands inside of other statements */
    enum sql_access access;
    enum sql_kind kind;
    enum name_form name_form;
    size_t name_offset;
    enum sql_access also; /* SQL_READ: nothing more */
    const char *(*tag_of)(struct walk *w, const ProtobufCMessage *m);
    /* Adds what the row cannot say. False: it has walked the fields itself. */
    bool (*walk)(struct walk *w, const ProtobufCMessage *m);
};

/* sql_rules.c */
bool rule_select(struct walk *w, const ProtobufCMessage *m);
bool rule_insert(struct walk *w, const ProtobufCMessage *m);
bool rule_update(struct walk *w, const ProtobufCMessage *m);
bool rule_delete(struct walk *w, const ProtobufCMessage *m);
bool rule_merge(struct walk *w, const ProtobufCMessage *m);
bool rule_copy(struct walk *w, const ProtobufCMessage *m);
bool rule_call(struct walk *w, const ProtobufCMessage *m);
bool rule_do(struct walk *w, const ProtobufCMessage *m);
bool rule_transaction(struct walk *w, const ProtobufCMessage *m);
bool rule_set(struct walk *w, const ProtobufCMessage *m);
bool rule_create(struct walk *w, const ProtobufCMessage *m);
bool rule_statistics(struct walk *w, const ProtobufCMessage *m);
bool rule_sequence(struct walk *w, const ProtobufCMessage *m);
bool rule_foreign_table(struct walk *w, const ProtobufCMessage *m);
bool rule_publication(struct walk *w, const ProtobufCMessage *m);
bool rule_subscription(struct walk *w, const ProtobufCMessage *m);
bool rule_alter_table(struct walk *w, const ProtobufCMessage *m);
bool rule_index(struct walk *w, const ProtobufCMessage *m);
bool rule_trigger(struct walk *w, const ProtobufCMessage *m);
bool rule_event_trigger(struct walk *w, const ProtobufCMessage *m);
bool rule_drop(struct walk *w, const ProtobufCMessage *m);
bool rule_rename(struct walk *w, const ProtobufCMessage *m);
bool rule_set_schema(struct walk *w, const ProtobufCMessage *m);
bool rule_owner(struct walk *w, const ProtobufCMessage *m);
bool rule_depends(struct walk *w, const ProtobufCMessage *m);
bool rule_comment(struct walk *w, const ProtobufCMessage *m);
bool rule_security_label(struct walk *w, const ProtobufCMessage *m);
bool rule_define(struct walk *w, const ProtobufCMessage *m);
bool rule_create_function(struct walk *w, const ProtobufCMessage *m);
bool rule_alter_function(struct walk *w, const ProtobufCMessage *m);
bool rule_create_schema(struct walk *w, const ProtobufCMessage *m);
bool rule_grant(struct walk *w, const ProtobufCMessage *m);
bool rule_roles(struct walk *w, const ProtobufCMessage *m);
bool rule_reindex(struct walk *w, const ProtobufCMessage *m);

/* sql_tag.c */
const char *tag_deallocate(struct walk *w, const ProtobufCMessage *m);
const char *tag_fetch(struct walk *w, const ProtobufCMessage *m);
const char *tag_close(struct walk *w, const ProtobufCMessage *m);
const char *tag_transaction(struct walk *w, const ProtobufCMessage *m);
const char *tag_set(struct walk *w, const ProtobufCMessage *m);
const char *tag_discard(struct walk *w, const ProtobufCMessage *m);
const char *tag_create_table_as(struct walk *w, const ProtobufCMessage *m);
const char *tag_alter_table(struct walk *w, const ProtobufCMessage *m);
const char *tag_drop(struct walk *w, const ProtobufCMessage *m);
const char *tag_rename(struct walk *w, const ProtobufCMessage *m);
const char *tag_set_schema(struct walk *w, const ProtobufCMessage *m);
const char *tag_owner(struct walk *w, const ProtobufCMessage *m);
const char *tag_depends(struct walk *w, const ProtobufCMessage *m);
const char *tag_define(struct walk *w, const ProtobufCMessage *m);
const char *tag_create_function(struct walk *w, const ProtobufCMessage *m);
const char *tag_alter_function(struct walk *w, const ProtobufCMessage *m);
const char *tag_grant(struct walk *w, const ProtobufCMessage *m);
const char *tag_grant_role(struct walk *w, const ProtobufCMessage *m);
const char *tag_vacuum(struct walk *w, const ProtobufCMessage *m);

#endif
