"""Compiles a .proto by protoc itself, and codes one message of it by Python's own protobuf.

    editions.py FILE.proto SET.binpb package.Message JSON

Writes the descriptor set, and prints one JSON object: the message's bytes in hexadecimal, and the message as it is
read back from them.
"""

import json
import pathlib
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_tools import protoc


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    file, out, name, text = sys.argv[1:]
    folder = str(pathlib.Path(file).parent)
    flags = ["--include_imports", "--include_source_info", f"--descriptor_set_out={out}"]
    if protoc.main(["protoc", f"-I{folder}", *flags, file]) != 0:
        sys.exit("protoc refuses it")
    files = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(out).read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for described in files.file:
        pool.Add(described)
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
    coded = json_format.Parse(text, message(), descriptor_pool=pool).SerializeToString(deterministic=True)
    read = json_format.MessageToDict(message.FromString(coded), descriptor_pool=pool)
    json.dump({"bytes": coded.hex(), "read": read}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
