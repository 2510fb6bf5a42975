/* What is recorded of HTTP as events of the class API Activity (6003), which has the actor, the
 * request and the response. Bodies have no place in it: the log has them. */
#ifndef CHAPERONE_FORMATS_OCSF_API_H
#define CHAPERONE_FORMATS_OCSF_API_H

#include "formats/ocsf_event.h"

/* Both may have nothing of HTTP in them, where it was refused before. */
void ocsf_api_add_intent(struct ocsf_event *e, const Chaperone__V1__Intent *intent);
void ocsf_api_add_outcome(struct ocsf_event *e, const Chaperone__V1__Outcome *outcome);
void ocsf_api_add_message(struct ocsf_event *e, const Chaperone__V1__Message *message);

#endif
