/* A session of one refused and one executed statement, as the control plane hands it out. */
#ifndef CHAPERONE_CLI_OUTPUT_STATEMENT_FIXTURE_H
#define CHAPERONE_CLI_OUTPUT_STATEMENT_FIXTURE_H

#include "cli/output/shown_fixture.h"

struct statement {
    struct shown shown;
    Chaperone__V1__Intent intent;
    Chaperone__V1__Outcome outcome;
    Chaperone__V1__Object object;
    Chaperone__V1__Object *objects[1];
    Chaperone__V1__Parameter parameters[2];
    Chaperone__V1__Parameter *parameter_list[2];
    Chaperone__V1__Stated stated;
    Chaperone__V1__Stated *reasons[1];
    Chaperone__V1__Column column;
    Chaperone__V1__Column *columns[1];
    char *commands[1];
};

/* A record without an event. */
void statement_init(struct statement *s, uint64_t sequence);
/* Borrows the text. */
void statement_intent(struct statement *s, const char *text, size_t size);
/* One row with "Ada" in it. */
void statement_outcome(struct statement *s);

#endif
