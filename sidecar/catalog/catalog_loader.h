/* What was read, before it is put in order. */
#ifndef CHAPERONE_SIDECAR_CATALOG_CATALOG_LOADER_H
#define CHAPERONE_SIDECAR_CATALOG_CATALOG_LOADER_H

#include "sidecar/catalog/catalog_internal.h"

enum {
    CATALOG_NAME_MAX = 1024,      /* a name has 63 bytes unless the server was built otherwise; a
                                     type's has its schema with it, quoted */
    CATALOG_ATTRIBUTE_MAX = 1600, /* MaxHeapAttributeNumber (access/htup_details.h) */
    CATALOG_PATH_MAX = 1000,      /* schemas; the search path is the agent's to set */
    CATALOG_FINGERPRINT_MAX = 64 << 10, /* the search path is in it */
    CATALOG_SHARED = 4096,
};

struct catalog_list {
    void *items;
    size_t count, capacity;
};

struct catalog_raw_column {
    uint32_t relation;
    struct catalog_column column;
};

struct catalog_raw_definition {
    uint32_t relation;
    const char *text; /* NULL: withheld */
};

struct catalog_raw_parent {
    uint32_t child, parent;
};

struct catalog_raw_writing {
    uint32_t relation;
    struct catalog_code code;
};

struct catalog_loader {
    struct arena *arena; /* owned; the snapshot takes it */
    size_t list_bytes;   /* of all lists together */
    struct bytes fingerprint;
    const char *temporary;
    struct catalog_list path;        /* struct catalog_schema, in the path's order */
    struct catalog_list relations;   /* struct catalog_entry */
    struct catalog_list columns;     /* struct catalog_raw_column */
    struct catalog_list definitions; /* struct catalog_raw_definition */
    struct catalog_list parents;     /* struct catalog_raw_parent */
    struct catalog_list names;       /* struct catalog_name */
    struct catalog_list casts;       /* struct catalog_cast */
    struct catalog_list writing;     /* struct catalog_raw_writing */
    const char *shared[CATALOG_SHARED];
};

#endif
