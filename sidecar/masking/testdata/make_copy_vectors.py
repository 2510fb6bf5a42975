"""Writes copy_vectors.tsv: what a real server writes for COPY, as it is and as it would be if the
second column of three (or the only one) held what the masker makes of it.

    PYTHONPATH=. python3 sidecar/masking/testdata/make_copy_vectors.py > .../copy_vectors.tsv
"""

import subprocess

from e2e.support.postgres import Postgres

VALUES = (
    "NULL", "''", "'plain'", r"E'\\N'", r"E'\\.'", "'a,b'", "'a|b;c'", "'\"'", "'\"\"'", "'a\"b'",
    "''''", "'it''s'", r"E'a\nb'", r"E'\n'", r"E'a\tb'", r"E'a\rb'", r"E'\r\n'", r"E'a\\b'",
    r"E'ends\\'", r"E'\b\f\v'", r"E'\x01\x7f'", "' lead and trail '", "'-'", "'ä€😀'",
    r"E'\\\\t\\n'", r"E'\\\"x\\\"'", "repeat('long, ', 20)",
)
MASKED = "regexp_replace(b, '[A-Za-z0-9]|[^\\x01-\\x7f]', '*', 'g')"
FIXED = "CASE WHEN b IS NOT NULL THEN 'f\"x, y' END"
# Options; format, delimiter, quote, escape, the text for NULL, whether there is a header.
KINDS = (
    ("FORMAT text", "text", "\t", "", "", "\\N", 0),
    ("FORMAT text, DELIMITER '|'", "text", "|", "", "", "\\N", 0),
    ("FORMAT text, DELIMITER E'\\x01', NULL ''", "text", "\x01", "", "", "", 0),
    ("FORMAT text, HEADER, NULL '\\-'", "text", "\t", "", "", "\\-", 1),
    ("FORMAT csv", "csv", ",", '"', '"', "", 0),
    ("FORMAT csv, HEADER, DELIMITER ';'", "csv", ";", '"', '"', "", 1),
    ("FORMAT csv, DELIMITER E'\\t', NULL '-'", "csv", "\t", '"', '"', "-", 0),
    ("FORMAT csv, QUOTE ''''", "csv", ",", "'", "'", "", 0),
    ("FORMAT csv, ESCAPE '\\'", "csv", ",", '"', "\\", "", 0),
    ("FORMAT csv, QUOTE '''', ESCAPE '\\', NULL '\\-'", "csv", ",", "'", "\\", "\\-", 0),
    ("FORMAT csv, FORCE_QUOTE *", "csv", ",", '"', '"', "", 0),
    ("FORMAT csv, FORCE_QUOTE (b), HEADER", "csv", ",", '"', '"', "", 1),
    ("FORMAT binary", "binary", "", "", "", "", 0),
)


def copy(env, query, options):
    """The bytes of one COPY."""
    sql = f"COPY ({query}) TO STDOUT ({options})"
    done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql], env=env,
                          check=True, capture_output=True)
    return done.stdout.hex()


def main():
    """All kinds, with three columns and with one, masked in parts and by a fixed text."""
    print("# format, columns, delimiter, quote, escape, NULL (hex), header, redaction, "
          "data (hex), masked (hex)")
    server = Postgres()
    try:
        env = dict(server.env(), PGCLIENTENCODING="UTF8")
        count = len(VALUES)
        rows = ", ".join(f"({i}, {VALUES[i]}, {VALUES[(i * 7 + 3) % count]}, {VALUES[i * 5 % count]})"
                         for i in range(count))
        server.psql("CREATE TABLE t (i int, b text, a text, c text)")
        for options, form, delimiter, quote, escape, null, header in KINDS:
            server.psql("TRUNCATE t; INSERT INTO t VALUES " + rows)
            if form == "text" and null == "":  # nobody could tell an empty text from NULL
                server.psql("UPDATE t SET b = NULL WHERE b = ''")
            for name, masked in (("partial", MASKED), ("fixed", FIXED), ("null", "NULL::text")):
                for columns, query in ((3, "SELECT a, {} AS b, c FROM t ORDER BY i"),
                                       (1, "SELECT {} AS b FROM t ORDER BY i")):
                    print("\t".join((
                        form, str(columns), delimiter.encode().hex(), quote.encode().hex(),
                        escape.encode().hex(), null.encode().hex(), str(header), name,
                        copy(env, query.format("b"), options),
                        copy(env, query.format(masked), options))))
    finally:
        server.close()


if __name__ == "__main__":
    main()
