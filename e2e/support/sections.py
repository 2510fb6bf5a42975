"""The records in the control plane's SQLite database, for tests that change them there. The formats are those of
controlplane/store/sqlite_section.h."""

import struct

HEAD, RECORD = struct.Struct(">BII"), struct.Struct(">IHBBII")
HASH_SIZE, BLOCK_MAX, FORM_PLAIN = 32, 1 << 17, 0


class Section:
    """A row of audit_section."""

    def __init__(self, key, batch, session, head):
        self.key, self.batch, self.session, self.head = key, batch, session, bytearray(head)
        count = HEAD.unpack_from(self.head)[1]
        self.records = [RECORD.unpack_from(self.head, HEAD.size + i * RECORD.size) for i in range(count)]
        self.positions = [batch + r[1] for r in self.records]
        self.kinds = [r[2] for r in self.records]

    def set_kind(self, position, kind):
        self.head[HEAD.size + self.positions.index(position) * RECORD.size + 6] = kind


def sections(database):
    return [Section(*row) for row in database.execute("SELECT key, batch, session, head FROM audit_section ORDER BY key")]


def section_of(database, position):
    return next(s for s in sections(database) if position in s.positions)


def positions(database, session, kind):
    """Of a session's records of this kind."""
    ids = {i for i, in database.execute("SELECT id FROM audit_session WHERE session = ?", (session,))}
    return sorted(p for s in sections(database) if s.session in ids
                  for p, k in zip(s.positions, s.kinds) if k == kind)


def frame(content):
    """A zstd frame (RFC 8878) in which nothing is compressed."""
    blocks = [content[i:i + BLOCK_MAX] for i in range(0, len(content), BLOCK_MAX)] or [b""]
    out = struct.pack("<IBI", 0xfd2fb528, 0xa0, len(content))
    for i, block in enumerate(blocks):
        out += struct.pack("<I", len(block) << 3 | (i == len(blocks) - 1))[:3] + block
    return out


def set_kind(database, position, kind):
    section = section_of(database, position)
    section.set_kind(position, kind)
    database.execute("UPDATE audit_section SET head = ? WHERE key = ?", (bytes(section.head), section.key))


def set_content(database, position, records):
    """The section that has it is not encrypted any more: `records` are the bytes of its records, by position."""
    section = section_of(database, position)
    content = [records[p] for p in section.positions]
    packed = b"".join(struct.pack(">III", len(c), len(c), 0) for c in content) + b"".join(content)
    database.execute("UPDATE audit_section SET form = ?, content = ? WHERE key = ?",
                     (FORM_PLAIN, frame(packed), section.key))


def set_hash(database, position, new):
    """The one before."""
    batch, hashes = database.execute("SELECT position, hashes FROM audit_batch WHERE position <= ?"
                                     " ORDER BY position DESC LIMIT 1", (position,)).fetchone()
    at = (position - batch) * HASH_SIZE
    old = hashes[at:at + HASH_SIZE]
    assert len(old) == len(new) == HASH_SIZE
    database.execute("UPDATE audit_batch SET hashes = ? WHERE position = ?",
                     (hashes[:at] + new + hashes[at + HASH_SIZE:], batch))
    return old


def batch_of(database, position):
    """The first and the last position of the batch that has it."""
    return database.execute("SELECT position, position + count - 1 FROM audit_batch WHERE position <= ?"
                            " ORDER BY position DESC LIMIT 1", (position,)).fetchone()


def delete_batches(database, first, last):
    """And what is in them."""
    gone = database.execute("DELETE FROM audit_batch WHERE position BETWEEN ? AND ?", (first, last)).rowcount
    database.execute("DELETE FROM audit_section WHERE batch BETWEEN ? AND ?", (first, last))
    return gone
