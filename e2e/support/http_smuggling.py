"""The corpus of smuggling/: what its cases send, and what became of each."""

import collections
import glob
import os
import re
import threading
import time

import hpack
import hyperframe.frame as frames

from support.http_stack import Raw

HERE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "smuggling")
ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

# What is not whole yet and so has no answer; the connection is closed after a while.
UNANSWERED = {"lengths-length-too-large"}
ANSWER_SECONDS, UNANSWERED_SECONDS = 60, 1.5

Case = collections.namedtuple("Case", "name why expected lines is_http2")


def corpus():
    """All cases; `expected`: "refused", "either", or how many requests get through."""
    found = []
    for path in sorted(glob.glob(os.path.join(HERE, "*.txt"))):
        group = os.path.basename(path)[:-4]
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for part in re.split(r"^=== ", text, flags=re.M)[1:]:
            title, expected, *lines = part.rstrip("\n").split("\n") if part.endswith("\\\n") else part[:-1].split("\n")
            name, _, why = title.partition(": ")
            word = re.fullmatch(r"! (refused|either|forwarded (\d+))", expected)
            assert word, f"{path}: {name}: what is expected?"
            found.append(Case(f"{group}-{name}", why, int(word[2]) if word[2] else word[1], lines, group == "http2"))
    names = [c.name for c in found]
    assert len(set(names)) == len(names), "two cases have one name"
    return found


def unescape(line):
    line = re.sub(r"\{body:(\d+)\}", lambda m: "x" * int(m[1]), line)
    out, at = b"", 0
    for m in re.finditer(r"\\(?:x([0-9a-f]{2})|([rnt0\\]))", line):
        out += line[at:m.start()].encode() + (bytes([int(m[1], 16)]) if m[1] else ESCAPES[m[2]])
        at = m.end()
    return out + line[at:].encode()


def is_continued(line):
    return re.search(r"(?<!\\)(?:\\\\)*\\$", line) is not None


def text_of(case):
    """The bytes of a case in HTTP/1."""
    out = b""
    for line in case.lines:
        out += unescape(line[:-1]) if is_continued(line) else unescape(line) + b"\r\n"
    return out


def streams_of(case):
    """[(header, data, trailers)] of a case in HTTP/2."""
    streams = [([], b"", [])]
    for line in case.lines:
        word, _, rest = line.partition(" ")
        header, data, trailers = streams[-1]
        if word == "NEXT":
            streams.append(([], b"", []))
        elif word == "DATA":
            streams[-1] = (header, data + unescape(rest), trailers)
        elif word == "TRAILER":
            name, _, value = rest.partition(" ")
            trailers.append((unescape(name), unescape(value)))
        else:
            header.append((unescape(word), b"" if rest == "\\" else unescape(rest)))
    return streams


def frames_of(case):
    """The bytes of a case in HTTP/2: nothing checks them."""
    encoder = hpack.Encoder()
    out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames.SettingsFrame(0).serialize()
    for n, (header, data, trailers) in enumerate(streams_of(case)):
        stream = 2 * n + 1
        parts = [frames.HeadersFrame(stream, encoder.encode(header), flags=["END_HEADERS"])]
        if data:
            parts.append(frames.DataFrame(stream, data))
        if trailers:
            parts.append(frames.HeadersFrame(stream, encoder.encode(trailers), flags=["END_HEADERS"]))
        parts[-1].flags.add("END_STREAM")
        out += b"".join(p.serialize() for p in parts)
    return out


def answers_in(data, is_http2):
    if not is_http2:
        return len(re.findall(rb"HTTP/1\.[01] [2-5]\d\d", data))
    ended, at = 0, 0
    while at + 9 <= len(data):
        size = int.from_bytes(data[at:at + 3], "big")
        kind, flags = data[at + 3], data[at + 4]
        ended += kind == 3 or (kind in (0, 1) and flags & 1)
        at += 9 + size
    return ended


Result = collections.namedtuple("Result", "answer session seen canary")


class Ground(threading.Thread):
    """Sends all cases to one resource of a sidecar, one after another: `results`, by name. `witness`: the log of
    the target; a fresh connection's own request stands behind each case in it."""

    def __init__(self, sidecar, resource, witness, cases):
        super().__init__(daemon=True)
        self.sidecar, self.resource, self.witness, self.cases = sidecar, resource, witness, cases
        self.results, self.error = {}, None
        self.start()

    def run(self):
        try:
            for n, case in enumerate(self.cases):
                self.results[case.name] = self._one(n, case)
        except Exception as error:  # pylint: disable=broad-except  # the test tells it
            self.error = error

    def _one(self, n, case):
        seen_from, said_from = self.witness.mark(), self.sidecar.part.mark()
        wanted = case.expected if isinstance(case.expected, int) else 1
        with Raw(self.sidecar.ports[self.resource]) as raw:
            answer = self._exchange(raw, case, wanted)
            port = raw.port
        path = f"/canary/{self.resource}/{n}"
        with Raw(self.sidecar.ports[self.resource]) as raw:
            canary = raw.get(path, "Connection: close")
            canary_port = raw.port
        # What the sidecar said of the case is in front of what it said of the canary.
        self.sidecar.part.wait_for("session_opened", after=said_from, agent_address=f"127.0.0.1:{canary_port}",
                                   resource=self.resource)
        session = self._session(port, said_from)
        if session:
            self.sidecar.part.wait_for("session_closed", after=said_from, session=session)
        entries = self.witness.wait_for(lambda e: e.get("url") == path, after=seen_from)
        return Result(answer, session, [e for e in entries if e.get("url") != path], (path, canary))

    @staticmethod
    def _exchange(raw, case, wanted):
        data = b""
        try:
            raw.send(frames_of(case) if case.is_http2 else text_of(case))
        except OSError:
            pass  # refused before all of it was sent
        deadline = time.monotonic() + (UNANSWERED_SECONDS if case.name in UNANSWERED else ANSWER_SECONDS)
        while time.monotonic() < deadline:
            enough = answers_in(data, case.is_http2) >= wanted
            more = raw.read_some(0.05 if enough else max(0.01, deadline - time.monotonic()))
            data += more
            if not more and (raw.ended or enough):
                break
        return data

    def _session(self, port, after):
        # Another ground may have the same port at the same time, to another listener.
        with self.sidecar.part.changed:
            lines = [x for x in self.sidecar.part.lines[after:]
                     if x and f"127.0.0.1:{port}\"" in x and f'"resource":"{self.resource}"' in x]
        found = [re.search(r'"session":"([^"]+)"', x) for x in lines if '"session_opened"' in x]
        return found[0].group(1) if found else None
