/* Which operations may leave before their intent is on the disk, and what then waits for it:
 * sequences of messages, and the one word about each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/protocol/postgres/postgres_fixture.h"
#include "sidecar/protocol/postgres/postgres_messages.h"

enum { WORD_MAX = 256 };

static void call_function(struct buffer *b)
{
    static const uint8_t body[] = {0, 0, 4, 0xd2, 0, 0, 0, 0, 0, 0}; /* 1234, no arguments */
    ok(pg_write_body(b, 'F', bytes_of(body, sizeof(body))));
}

/* One message of the agent, or, behind '<', of the target. */
static void write_message(struct buffer *b, const char *text)
{
    struct bytes rest = bytes_of_string(text[0] == '\0' || text[1] == '\0' ? "" : text + 2);
    char name[2] = {text[1] == '\0' ? '\0' : text[1], '\0'};
    name[0] = name[0] == ' ' ? '\0' : name[0];
    switch (text[0]) {
    case 'Q': query(b, (const char *)rest.data); break;
    case 'P': parse(b, name, (const char *)rest.data); break; /* "Pn TEXT" */
    case 'B': bind(b, name, name); break;                     /* "Bn": of the statement n */
    case 'E': ok(pg_write_execute(b, bytes_of_string(name), rest.size > 0 ? 1 : 0)); break;
    case 'S': ok(pg_write_sync(b)); break;
    case 'F': call_function(b); break;
    case 'H':
    case 'X': ok(pg_write_empty(b, (uint8_t)text[0])); break;
    case '<':
        if (text[1] == 'Z') {
            ok(pg_write_ready(b, (uint8_t)text[2]));
        } else if (text[1] == 'C') {
            complete(b, "OK");
        } else if (text[1] == 'E') {
            server_error(b, "22012");
        } else {
            ok(pg_write_empty(b, (uint8_t)text[1]));
        }
        break;
    default: fail_msg("what is %s?", text);
    }
}

/* Messages with "; " between them. All of one side up to the other side's next come at once. */
static void play(struct fixture *f, const char *script)
{
    struct buffer b;
    char word[WORD_MAX];
    bool is_target = false;
    buffer_init(&b, 1 << 16);
    while (*script != '\0') {
        const char *end = strstr(script, "; ");
        size_t size = end == NULL ? strlen(script) : (size_t)(end - script);
        assert_true(size < sizeof(word));
        memcpy(word, script, size);
        word[size] = '\0';
        if (is_target != (word[0] == '<')) {
            (is_target ? fixture_target : fixture_agent)(f, buffer_bytes(&b));
            buffer_clear(&b);
            is_target = !is_target;
        }
        write_message(&b, word);
        script += size + (end == NULL ? 0 : 2);
    }
    (is_target ? fixture_target : fixture_agent)(f, buffer_bytes(&b));
    buffer_finish(&b);
}

struct sequence {
    const char *script;
    const char *waits; /* as fixture.waits */
};

static void expect(const struct sequence *s, const char *before)
{
    struct fixture f;
    fixture_init(&f);
    fixture_login(&f);
    f.deny = "DROP";
    play(&f, before);
    f.wait_count = 0;
    memset(f.waits, 0, sizeof(f.waits));
    play(&f, s->script);
    if (strcmp(f.waits, s->waits) != 0 || f.closed) {
        fail_msg("%s: %s, not %s%s", s->script, f.waits, s->waits, f.closed ? ", closed" : "");
    }
    fixture_finish(&f);
}

#define EXPECT_ALL(sequences, before)                                                              \
    for (size_t i = 0; i < sizeof(sequences) / sizeof((sequences)[0]); i++) {                      \
        expect(&(sequences)[i], before);                                                           \
    }

static const char in_transaction[] = "Q BEGIN; <C; <ZT";

static void test_within_a_transaction(void **state)
{
    (void)state;
    static const struct sequence sequences[] = {
        {"Q UPDATE t SET a = 1", "p"},
        {"Q UPDATE t SET a = 1; Q INSERT INTO t VALUES (2); Q SELECT 3", "ppp"},
        {"Q UPDATE t SET a = 1; <C; <ZT; Q DELETE FROM t", "pp"},
        {"P  UPDATE t SET a = 1; B; E; S; P  DELETE FROM t; B; E; S", "pp"},
        {"P  UPDATE t SET a = 1; B; E; S; <1; <2; <C; <ZT; P  DELETE FROM t; B; E; S", "pp"},
        {"P  UPDATE t SET a = 1; B; E; H; <1; <2; <C; P  DELETE FROM t; B; E; S", "pp"},
        {"Q SAVEPOINT s; Q UPDATE t SET a = 1; Q ROLLBACK TO s; Q RELEASE s; Q DELETE FROM t",
         "ppppp"},
        {"P  UPDATE t SET a = 1; B; E; S; <1; <E; <ZE; Q ROLLBACK TO s; <C; <ZT; "
         "Q UPDATE t SET a = 2",
         "pwp"},
        /* more rows of the same portal */
        {"Pu DELETE FROM t RETURNING a; Bu; Eu 1; H; <1; <2; <s; Eu 1; S", "pp"},
        {"Q UPDATE t SET a = 1; X", "p"},
    };
    EXPECT_ALL(sequences, in_transaction);
}

/* What is not known to leave the transaction open. */
static void test_what_may_end_it(void **state)
{
    (void)state;
    static const struct sequence sequences[] = {
        {"Q UPDATE t SET a = 1; Q COMMIT; Q UPDATE t SET a = 2", "pww"},
        {"Q UPDATE t SET a = 1; Q END; Q UPDATE t SET a = 2", "pww"},
        {"Q UPDATE t SET a = 1; Q ROLLBACK; Q UPDATE t SET a = 2", "pww"},
        {"Q UPDATE t SET a = 1; Q PREPARE TRANSACTION 'x'; Q UPDATE t SET a = 2", "pww"},
        {"Q UPDATE t SET a = 1; Q COMMIT AND CHAIN; Q UPDATE t SET a = 2", "pww"},
        {"Q COMMIT AND CHAIN; <C; <ZT; Q UPDATE t SET a = 2", "wp"},
        {"Q COMMIT; <C; <ZI; Q UPDATE t SET a = 2", "ww"},
        {"Q UPDATE t SET a = 1\nCOMMIT", "w"}, /* refused: not SQL */
        {"Q UPDATE t SET a = 1;COMMIT; Q UPDATE t SET a = 2", "ww"},
        {"Q COMMIT;BEGIN; Q UPDATE t SET a = 2; <C; <C; <ZT; Q UPDATE t SET a = 3", "wwp"},
        {"Q CALL p(); Q UPDATE t SET a = 2", "ww"},
        {"Q DO 'x'; Q UPDATE t SET a = 2; <C; <ZT; <C; <ZT; Q UPDATE t SET a = 3", "wwp"},
        {"Q SELECT f(); Q UPDATE t SET a = 2", "ww"},
        {"Q EXECUTE e; Q UPDATE t SET a = 2", "ww"},
        {"Q SET a = 1; Q UPDATE t SET a = 2", "ww"},
        {"F; Q UPDATE t SET a = 2; <V; <ZT; <C; <ZT; Q UPDATE t SET a = 3", "wwp"},
        {"Q COPY t FROM STDIN; Q UPDATE t SET a = 2", "ww"},
        {"Q DROP TABLE t; Q UPDATE t SET a = 2", "ww"}, /* refused: what fails there is not known */
        {"Pu UPDATE t SET a = 1; S", "w"},              /* prepared only */
    };
    EXPECT_ALL(sequences, in_transaction);
}

/* Its intent is made at Bind; it runs at Execute. */
static void test_portals_that_end_it(void **state)
{
    (void)state;
    static const struct sequence sequences[] = {
        {"P  UPDATE t SET a = 1; B; E; P  COMMIT; B; E; S", "pws"},
        /* COMMIT's answer came, ReadyForQuery did not: the block is over, and Sync commits */
        {"P  COMMIT; B; E; H; <1; <2; <C; P  UPDATE t SET a = 1; B; E; S", "wsw"},
        /* COMMIT was bound long before */
        {"Pc COMMIT; Bc; S; <1; <2; <ZT; P  UPDATE t SET a = 1; B; E; Ec; S", "wps"},
        {"Pc COMMIT; Bc; S; <1; <2; <ZT; P  UPDATE t SET a = 1; B; Ec; E; S", "wps"},
        {"Pc COMMIT; Bc; S; <1; <2; <ZT; Ec; P  UPDATE t SET a = 1; B; E; S", "wsw"},
        {"Pc COMMIT; Bc; S; <1; <2; <ZT; P  UPDATE t SET a = 1; B; Ec; E; "
         "P  UPDATE t SET a = 2; B; E; S",
         "wpsw"},
        /* and an UPDATE: it is no longer certain when its next rows are asked for */
        {"Pu DELETE FROM t RETURNING a; Bu; Eu 1; S; <1; <2; <s; <ZT; Q COMMIT; Eu 1; S", "pww"},
        {"Pf SELECT f(); Bf; P  UPDATE t SET a = 1; B; E; Ef; S", "wps"},
    };
    EXPECT_ALL(sequences, in_transaction);
}

static void test_without_a_transaction_that_is_known(void **state)
{
    (void)state;
    static const struct sequence idle[] = {
        {"Q UPDATE t SET a = 1", "w"},
        {"Q SELECT 1; Q UPDATE t SET a = 1", "ww"},
        {"P  UPDATE t SET a = 1; B; E; P  UPDATE t SET a = 2; B; E; S", "ww"},
        {"Q BEGIN; Q UPDATE t SET a = 1", "ww"},
        {"P  BEGIN; B; E; H; <1; <2; <C; P  UPDATE t SET a = 1; B; E; S", "wsw"},
        {"P  BEGIN; B; E; S; <1; <2; <C; <ZT; P  UPDATE t SET a = 1; B; E; S", "wsp"},
        {"Q BEGIN;UPDATE t SET a = 1; <C; <C; <ZT; Q UPDATE t SET a = 2", "wp"},
    };
    EXPECT_ALL(idle, "");
    static const struct sequence failed[] = {{"Q UPDATE t SET a = 1", "w"}};
    EXPECT_ALL(failed, "Q BEGIN; <C; <ZT; Q SELECT 1; <E; <ZE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_within_a_transaction),
        cmocka_unit_test(test_what_may_end_it),
        cmocka_unit_test(test_portals_that_end_it),
        cmocka_unit_test(test_without_a_transaction_that_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
