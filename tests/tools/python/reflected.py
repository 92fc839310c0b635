"""Calls one method that it knows by reflection alone, and says what it was told of it.

    reflected.py ADDRESS package.Service/Method JSON

Prints one JSON object: the answer, the method's options as far as the schema has them, and the fields of its request.
"""

import sys

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import seen


def options(method, pool):
    try:
        known = pool.FindMessageTypeByName("google.protobuf.MethodOptions")
    except KeyError:  # no file of the schema has options of its own
        return str(method.GetOptions())
    # Of this very pool, so that its extensions are known.
    return str(message_factory.GetMessageClass(known).FromString(method.GetOptions().SerializeToString()))


def look():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    address, method, text = sys.argv[1:]
    service, name = method.split("/")
    with seen.channel(address) as channel:
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        found = pool.FindServiceByName(service).methods_by_name[name]
        request, response = map(message_factory.GetMessageClass, (found.input_type, found.output_type))
        call = channel.unary_unary(f"/{service}/{name}", request.SerializeToString, response.FromString)
        given = json_format.Parse(text, request(), descriptor_pool=pool)
        answer = call(given, timeout=seen.TIMEOUT_SECONDS)
        file = descriptor_pb2.FileDescriptorProto()
        found.containing_service.file.CopyToProto(file)
        return {
            "answer": json_format.MessageToDict(answer, descriptor_pool=pool),
            "options": options(found, pool),
            "fields": {field.name: field.number for field in found.input_type.fields},
            "file": file.name,
        }


if __name__ == "__main__":
    seen.report(look)
