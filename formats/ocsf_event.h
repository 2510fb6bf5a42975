/* Building an OCSF event: its head, and the objects that several classes have. */
#ifndef CHAPERONE_FORMATS_OCSF_EVENT_H
#define CHAPERONE_FORMATS_OCSF_EVENT_H

#include "formats/json.h"
#include "formats/record.h"

/* Class and category: the category is the class without its last three digits. */
enum ocsf_class {
    OCSF_BASE_EVENT = 0,
    OCSF_DETECTION_FINDING = 2004,
    OCSF_AUTHENTICATION = 3002,
    OCSF_ENTITY_MANAGEMENT = 3004,
    OCSF_API_ACTIVITY = 6003,
    OCSF_DATASTORE_ACTIVITY = 6005,
};

enum { OCSF_ACTIVITY_OTHER = 99 };

enum ocsf_severity { OCSF_INFORMATIONAL = 1, OCSF_LOW, OCSF_MEDIUM, OCSF_HIGH, OCSF_CRITICAL };

/* status_id; OCSF_STATUS_NEW is that of findings. */
enum ocsf_status {
    OCSF_STATUS_UNKNOWN = 0,
    OCSF_STATUS_SUCCESS = 1,
    OCSF_STATUS_FAILURE = 2,
    OCSF_STATUS_OTHER = 99,
};

/* observable.type_id */
enum ocsf_observable { OCSF_IP_ADDRESS = 2, OCSF_USER_NAME = 4, OCSF_RESOURCE_UID = 10 };

/* An event while it is built; `json` remembers what failed. */
struct ocsf_event {
    struct json json;
    const Chaperone__V1__Entry *entry;
    const struct record_view *view; /* NULL: erased */
    cJSON *observables, *unmapped;
};

void ocsf_event_init(struct ocsf_event *e, const Chaperone__V1__Entry *entry,
                     const struct record_view *view);
void ocsf_event_finish(struct ocsf_event *e);
/* Appends it on one line. */
enum err ocsf_event_print(struct ocsf_event *e, struct buffer *out) MUST_USE;

/* class_uid, activity_id, type_uid and their names. */
void ocsf_set_class(struct ocsf_event *e, enum ocsf_class class, int activity, const char *name);
void ocsf_set_severity(struct ocsf_event *e, enum ocsf_severity severity);
/* `detail` and `code` may be NULL; `name` is the status's own for OTHER, else NULL. */
void ocsf_set_status(struct ocsf_event *e, enum ocsf_status status, const char *name,
                     const char *detail, const char *code);

/* Nothing is added where a text is NULL or empty. */
void ocsf_add(struct ocsf_event *e, cJSON *to, const char *name, const char *text);
void ocsf_observe(struct ocsf_event *e, const char *name, enum ocsf_observable type,
                  const char *value);

/* A user; without `identity` the one of the entry. */
void ocsf_add_user(struct ocsf_event *e, cJSON *to, const char *path,
                   const Chaperone__V1__Identity *identity);
/* The user, the session, on whose behalf, and what the policy said. */
void ocsf_add_actor(struct ocsf_event *e, const Chaperone__V1__Identity *identity);
void ocsf_add_session(struct ocsf_event *e, cJSON *to);
/* "127.0.0.1:5432", "db.internal:5432", "unix:/run/x"; or where there is none the sidecar. */
void ocsf_add_endpoint(struct ocsf_event *e, const char *name, const char *address);

#endif
