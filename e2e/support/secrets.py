"""Looks for secrets in files, and in a process's memory as a core file would have it."""

import glob
import os
import re


def pieces_of(token):
    """What of a token would give it away, in parts, because a buffer may have been overwritten in part:
    of a JWT the claims' end and the signature."""
    pieces = []
    for part in token.encode().split(b".")[-2:]:
        pieces += [part[i:i + 24] for i in range(max(0, len(part) - 24 * 4), len(part) - 23, 24)]
    return pieces or [token.encode()]


def find(content, secrets):
    """Names of the secrets ({name: pieces}) that are in `content`."""
    content = content.encode() if isinstance(content, str) else content
    return {name for name, pieces in secrets.items() if any(p in content for p in pieces)}


def find_in_files(directory, secrets):
    """{path: names} below a directory."""
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            try:
                with open(path, "rb") as f:
                    here = find(f.read(), secrets)
            except FileNotFoundError:
                continue  # who writes here has put it in another one's place, or has done with it
            if here:
                found[path] = here
    return found


def find_in_command_lines(secrets):
    """{command line: names} of all processes."""
    found = {}
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as f:
                content = f.read()
        except OSError:
            continue  # it has ended
        here = find(content, secrets)
        if here:
            found[content] = here
    return found


def _writable(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as f:
        for line in f:
            area = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)", line)
            if "w" in area.group(3):
                yield int(area.group(1), 16), int(area.group(2), 16), area.group(4)


def find_in_memory(pid, secrets):
    """[(name, area, what is around it)] in all that the process can write to."""
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, area in _writable(pid):
            if area.endswith(".spool"):
                continue  # a file: find_in_files
            try:
                content = os.pread(memory.fileno(), end - start, start)
            except OSError:
                continue  # not readable for anybody, and so in no core file
            for name, pieces in secrets.items():
                for piece in pieces:
                    at = content.find(piece)
                    if at >= 0:
                        found.append((name, f"{area or 'anonymous'} {start + at:x}",
                                      content[max(0, at - 32):at + 32]))
    return found
