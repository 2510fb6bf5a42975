"""protobuf-c code and descriptor sets from .proto files, with Debian's protoc."""

def chaperone_proto(name, srcs, deps = [], proto_deps = [], visibility = None):
    """One cc_library of protobuf-c messages and services.

    Also makes NAME_descriptor_set: the serialized FileDescriptorSet (with imports), which
    server reflection hands out.

    Args:
      name: of the cc_library.
      srcs: .proto files of this package, compiled with the workspace root as import path.
      deps: cc_library targets of the imported .proto files.
      proto_deps: the imported .proto files of other packages.
      visibility: of the targets.
    """
    package = native.package_name()
    headers = [src.replace(".proto", ".pb-c.h") for src in srcs]
    sources = [src.replace(".proto", ".pb-c.c") for src in srcs]
    native.genrule(
        name = name + "_gen",
        srcs = srcs + proto_deps,
        outs = headers + sources,
        cmd = "protoc -I. --c_out=$(GENDIR) " +
              " ".join(["$(location %s)" % src for src in srcs]),
    )
    native.genrule(
        name = name + "_descriptor_set",
        srcs = srcs + proto_deps,
        outs = [name + ".descriptor_set"],
        cmd = "protoc -I. --include_imports --descriptor_set_out=$@ " +
              " ".join(["$(location %s)" % src for src in srcs]),
        visibility = visibility,
    )
    native.cc_library(
        name = name,
        srcs = sources,
        hdrs = headers,
        deps = deps + ["//third_party:protobuf_c"],
        visibility = visibility,
    )
