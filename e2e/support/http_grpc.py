#!/usr/bin/python3
"""A gRPC server and a client of it, without generated code: messages are bytes.

http_grpc.py serve CERTIFICATE KEY   prints its port; ends when its standard input does
http_grpc.py call PORT               calls everything through PORT (HTTP/2 without TLS); prints what came as JSON
http_grpc.py call PORT CA            the same over TLS, to the server itself
"""

import concurrent.futures
import json
import sys

import grpc

SERVICE = "/chaperone.test.Echo/"


def unary(request, context):
    seen = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-initial", seen.get("x-sent", "")),))
    context.set_trailing_metadata((("x-trailing", "after"), ("x-saw-authorization", seen.get("authorization", ""))))
    return b"echo:" + request


def stream(request, context):
    for n in range(int(request)):
        yield b"item %d" % n
    context.set_trailing_metadata((("x-count", request.decode()),))


def collect(requests, _context):
    return b"%d" % sum(len(r) for r in requests)


def both(requests, _context):
    for request in requests:
        yield request.upper()


def fails(_request, context):
    context.set_trailing_metadata((("x-why", "because"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today: 100%")


def same(b):
    return b


def serve(certificate, key):
    make = {"Unary": (grpc.unary_unary_rpc_method_handler, unary), "Stream": (grpc.unary_stream_rpc_method_handler, stream),
            "Collect": (grpc.stream_unary_rpc_method_handler, collect),
            "Both": (grpc.stream_stream_rpc_method_handler, both), "Fails": (grpc.unary_unary_rpc_method_handler, fails)}
    handlers = {name: kind(f, same, same) for name, (kind, f) in make.items()}
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("chaperone.test.Echo", handlers),))
    with open(key, "rb") as k, open(certificate, "rb") as c:
        credentials = grpc.ssl_server_credentials(((k.read(), c.read()),))
    print(server.add_secure_port("127.0.0.1:0", credentials), flush=True)
    server.start()
    sys.stdin.read()
    server.stop(0)


def call(port, ca=None):
    target = f"127.0.0.1:{port}"
    if ca:
        with open(ca, "rb") as f:
            channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(f.read()))
    else:
        channel = grpc.insecure_channel(target)
    with channel:
        found = {}
        answer, done = channel.unary_unary(SERVICE + "Unary").with_call(b"hello", metadata=(("x-sent", "mine"),), timeout=30)
        found["unary"] = answer.decode()
        found["initial"] = dict(done.initial_metadata()).get("x-initial")
        found["trailing"] = dict(done.trailing_metadata())
        items = channel.unary_stream(SERVICE + "Stream")(b"100", timeout=30)
        found["items"] = [i.decode() for i in items]
        found["count"] = dict(items.trailing_metadata()).get("x-count")
        found["collected"] = int(channel.stream_unary(SERVICE + "Collect")((b"x" * 100_000 for _ in range(50)), timeout=30))
        found["both"] = [i.decode() for i in channel.stream_stream(SERVICE + "Both")(iter([b"a", b"b", b"c"]), timeout=30)]
        for name in ("Fails", "Nowhere"):
            try:
                channel.unary_unary(SERVICE + name)(b"", timeout=30)
                found[name] = "OK"
            except grpc.RpcError as error:
                found[name] = [error.code().name, error.details()]  # pylint: disable=no-member
    print(json.dumps(found))


if __name__ == "__main__":
    {"serve": serve, "call": call}[sys.argv[1]](*sys.argv[2:])
