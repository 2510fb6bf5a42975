/* What recording costs the loop's thread: an intent and an outcome as a statement of pgbench -S
 * gives them. recorder_bench DIR [STATEMENTS] */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sidecar/audit/recorder.h"

static char text(int n)
{
    return (char)('0' + n % 10);
}

static uint64_t write_intent(struct recorder *r, int n)
{
    char sql[] = "SELECT abalance FROM pgbench_accounts WHERE aid = 1234x;";
    sql[sizeof(sql) - 3] = text(n);
    char *commands[] = {"SELECT"};
    Chaperone__V1__Object object = CHAPERONE__V1__OBJECT__INIT;
    object.kind = "table";
    object.name = "pgbench_accounts";
    object.access = "read";
    Chaperone__V1__Object *objects[] = {&object};
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    intent.operation = (uint64_t)n;
    intent.verdict = CHAPERONE__V1__VERDICT__ALLOW;
    intent.rule = "accounts-read";
    intent.policy_hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    intent.policy_revision = 7;
    intent.verb = "query";
    intent.commands = commands;
    intent.n_commands = 1;
    intent.objects = objects;
    intent.n_objects = 1;
    intent.text = (ProtobufCBinaryData){.data = (uint8_t *)sql, .len = sizeof(sql) - 1};
    intent.transaction = "idle";
    intent.durability = "process";
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    record.session = "0193a3c2-7a1b-7cc3-98c4-dc0c0c07398f";
    record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
    record.intent = &intent;
    uint64_t sequence = 0;
    if (recorder_write(r, &record, &sequence) != OK) {
        (void)fprintf(stderr, "not written\n");
        exit(1);
    }
    return sequence;
}

static void write_outcome(struct recorder *r, int n, uint64_t intent)
{
    uint8_t bytes[96] = {(uint8_t)n};
    Chaperone__V1__Column column = CHAPERONE__V1__COLUMN__INIT;
    column.name = "abalance";
    column.type_oid = 23;
    column.type = "int4";
    column.table_oid = 16385;
    column.attribute = 3;
    Chaperone__V1__Column *columns[] = {&column};
    Chaperone__V1__Outcome outcome = CHAPERONE__V1__OUTCOME__INIT;
    outcome.operation = (uint64_t)n;
    outcome.intent_sequence = intent;
    outcome.status = CHAPERONE__V1__STATUS__SUCCESS;
    outcome.command_tag = "SELECT 1";
    outcome.rows = 1;
    outcome.bytes = sizeof(bytes);
    outcome.duration_us = 80;
    outcome.digest = (ProtobufCBinaryData){.data = bytes, .len = 32};
    outcome.columns = columns;
    outcome.n_columns = 1;
    outcome.response_encoding = "postgres";
    outcome.response = (ProtobufCBinaryData){.data = bytes, .len = sizeof(bytes)};
    Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
    record.session = "0193a3c2-7a1b-7cc3-98c4-dc0c0c07398f";
    record.event_case = CHAPERONE__V1__RECORD__EVENT_OUTCOME;
    record.outcome = &outcome;
    if (recorder_write(r, &record, NULL) != OK) {
        (void)fprintf(stderr, "not written\n");
        exit(1);
    }
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static double us(const int64_t *sorted, int count, double part)
{
    return (double)sorted[(size_t)((count - 1) * part)] / 1000;
}

int main(int argc, char **argv)
{
    int count = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 200000;
    struct clock clock = clock_system();
    struct recorder_options options = {.dir = argc > 1 ? argv[1] : "/tmp/recorder_bench",
                                       .sidecar = "0193a3c2-0000-7000-8000-000000000001",
                                       .clock = &clock,
                                       .cap = (uint64_t)4 << 30};
    struct err_text why;
    struct recorder *r = NULL;
    if (count <= 0 || recorder_open(&options, &r, &why) != OK) {
        (void)fprintf(stderr, "%s\n", why.text);
        return 1;
    }
    int64_t *took = calloc((size_t)count, sizeof(*took));
    if (took == NULL) {
        return 1;
    }
    struct recorder_status before;
    recorder_status(r, &before);
    int64_t start = clock_monotonic(&clock);
    int64_t last = start;
    for (int i = 0; i < count; i++) {
        write_outcome(r, i, write_intent(r, i));
        int64_t now = clock_monotonic(&clock);
        took[i] = now - last;
        last = now;
    }
    qsort(took, (size_t)count, sizeof(*took), compare);
    printf("%d statements, two records each: mean %.2f us, median %.2f us, 99%% %.2f us, "
           "99.99%% %.1f us, longest %.1f us\n",
           count, (double)(last - start) / count / 1000, us(took, count, 0.5),
           us(took, count, 0.99), us(took, count, 0.9999), us(took, count, 1.0));
    recorder_acknowledge(r, recorder_last_sequence(r), NULL);
    recorder_close(r);
    free(took);
    return 0;
}
