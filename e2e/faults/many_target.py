"""A target of thousands of connections, in one thread: it logs everybody in, and answers every query with
one row. many_target.py PORT; says "ready" when it listens."""

import asyncio
import resource
import struct
import sys


def message(kind, body=b""):
    return kind + struct.pack("!i", len(body) + 4) + body


HELLO = (message(b"R", struct.pack("!i", 0)) + message(b"S", b"client_encoding\0UTF8\0")
         + message(b"S", b"standard_conforming_strings\0on\0")
         + message(b"K", struct.pack("!ii", 4711, 42)) + message(b"Z", b"I"))
ROW = (message(b"T", struct.pack("!h", 1) + b"c\0" + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0))
       + message(b"D", struct.pack("!hi", 1, 1) + b"1") + message(b"C", b"SELECT 1\0")
       + message(b"Z", b"I"))


async def serve(reader, writer):
    try:
        while True:  # requests for TLS come first
            size, code = struct.unpack("!ii", await reader.readexactly(8))
            await reader.readexactly(size - 8)
            if code >> 16 == 3:
                break
            writer.write(b"N")
        writer.write(HELLO)
        while True:
            kind, size = struct.unpack("!ci", await reader.readexactly(5))
            await reader.readexactly(size - 4)
            if kind == b"X":
                break
            if kind in (b"Q", b"S"):
                writer.write(ROW)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


async def main(port):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


asyncio.run(main(int(sys.argv[1])))
