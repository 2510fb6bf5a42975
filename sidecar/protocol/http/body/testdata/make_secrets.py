"""Prints the vectors of http_secrets_test: secrets as other programs write them.

Each line: the secret, how it is written, a text with it, and the text without it (all but the
second in hexadecimal). What is expected is computed here, by other means than those under test.
"""

import base64
import json
import re
import urllib.parse

MASKED = b"[masked]"
LONG = [
    b"sk-live-0123456789abcdef",
    'k9/Xb+"\\T0k%en-é='.encode(),
    b"bot:pa ss&word?!",
    "\U0001f511key~of<others>".encode(),
    b"Bearer eyJhbGciOi.eyJzdWIi.c2ln",
    b"\\\\\\%25\\u0041",
]
SHORT = [b"pa55", b"a%c", b"se-cr_t"]


def every(text, form):
    return "".join(form % c for c in text)


def plain(secret):
    """(name, the secret as it is written): all of it is to go."""
    yield "as it is", secret
    yield "JSON of Python", json.dumps(secret.decode())[1:-1].encode()
    yield "JSON of JavaScript", json.dumps(secret.decode(), ensure_ascii=False)[1:-1].encode()
    yield "JSON of PHP", json.dumps(secret.decode())[1:-1].replace("/", "\\/").encode()
    go = json.dumps(secret.decode(), ensure_ascii=False)[1:-1]
    for c in "<>&":
        go = go.replace(c, "\\u%04x" % ord(c))
    yield "JSON of Go", go.encode()
    units = secret.decode().encode("utf-16-be")
    units = [units[i] << 8 | units[i + 1] for i in range(0, len(units), 2)]
    yield "JSON, all escaped", every(units, "\\u%04x").encode()
    yield "JSON, all escaped, upper case", every(units, "\\u%04X").encode()
    yield "percent", urllib.parse.quote(secret, safe="").encode()
    yield "percent, with slashes", urllib.parse.quote(secret).encode()
    lower = re.sub("%..", lambda m: m[0].lower(), urllib.parse.quote(secret, safe=""))
    yield "percent, lower case", lower.encode()
    yield "percent, all", every(secret, "%%%02X").encode()
    yield "percent, all, lower case", every(secret, "%%%02x").encode()
    if b"\\" not in secret:
        inner = json.dumps(json.dumps(secret.decode(), ensure_ascii=False)[1:-1].replace("/", "\\/"),
                           ensure_ascii=False)[1:-1]
        yield "JSON in JSON of PHP", inner.replace("/", "\\/").encode()
        yield "JSON in JSON in JSON", json.dumps(inner, ensure_ascii=False)[1:-1].encode()
    if b"%" not in secret:
        yield "percent, twice", urllib.parse.quote(urllib.parse.quote(secret, safe="")).encode()
        yield "percent, all, thrice", every(secret, "%%2525%02x").encode()
    yield "form", urllib.parse.quote_plus(secret).encode()


def hexadecimal(secret):
    yield "hex", secret.hex().encode()
    yield "hex, upper case", secret.hex().upper().encode()


def base64_within(secret):
    """(name, encoded, what is left of it)."""
    for before in range(6):
        for after in range(4):
            whole = b"<" * before + secret + b">" * after
            for name, encode in ("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode):
                text = encode(whole)
                first = 8 * before // 6
                end = (8 * (before + len(secret)) + 5) // 6
                yield f"{name} {before} {after}", text, text[:first] + MASKED + text[end:]
    for name, write in (
        ("base64, percent", lambda t: urllib.parse.quote(t, safe="").encode()),
        ("base64, JSON of PHP", lambda t: t.replace(b"/", b"\\/")),
    ):
        text = base64.b64encode(secret).rstrip(b"=")
        yield name, write(text), MASKED


def line(secret, name, text, expected):
    print("\t".join((secret.hex(), name, text.hex(), expected.hex())))


def surround(secret, name, text, expected):
    for before, after in (
        (b"", b""),
        (b'{"a":"', b'"}\n'),
        (b"100%", b"%"),
        (b"x=", b"&y=1"),
        (text[: len(text) // 2] if text[:1] not in b"\\%" else b"", b""),
    ):
        line(secret, name, before + text + after, before + expected + after)
    line(secret, name + ", twice", text + b" " + text, expected + b" " + expected)


def main():
    for secret in LONG:
        for name, text in [*plain(secret), *hexadecimal(secret)]:
            surround(secret, name, text, MASKED)
        for name, text, expected in base64_within(secret):
            line(secret, name, text, expected)
        if secret.isascii():
            wide = secret.decode()
            line(secret, "UTF-16LE", ("<%s>" % wide).encode("utf-16-le"), b"<\0" + MASKED + b"\0>\0")
            line(secret, "UTF-16BE", ("<%s>" % wide).encode("utf-16-be"), b"\0<\0" + MASKED + b"\0>")
        line(secret, "all but the last", secret[:-1] + b"_", secret[:-1] + b"_")
        line(secret, "all but the first", b"_" + secret[1:], b"_" + secret[1:])
    for secret in SHORT:
        surround(secret, "short", secret, MASKED)
        text = base64.b64encode(secret)
        line(secret, "short, base64", text, MASKED + b"=" * text.count(b"="))
        line(secret, "short, hex is not looked for", secret.hex().encode(), secret.hex().encode())


main()
