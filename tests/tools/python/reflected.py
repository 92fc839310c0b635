"""Calls one method that it knows by reflection alone, and says what it was told of it.

    reflected.py ADDRESS package.Service/Method TEXT

Prints one JSON object: the text that came back, the method's comments and options as far as the schema has them, and
the fields of its request.
"""

import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import seen


def look():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    address, method, text = sys.argv[1:]
    service, name = method.split("/")
    with seen.channel(address) as channel:
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        found = pool.FindServiceByName(service).methods_by_name[name]
        # Of this very pool, so that its extensions are known.
        options = message_factory.GetMessageClass(pool.FindMessageTypeByName("google.protobuf.MethodOptions"))
        told = options.FromString(found.GetOptions().SerializeToString())
        request, response = map(message_factory.GetMessageClass, (found.input_type, found.output_type))
        call = channel.unary_unary(f"/{service}/{name}", request.SerializeToString, response.FromString)
        answer = call(request(text=text), timeout=seen.TIMEOUT_SECONDS)
        file = descriptor_pb2.FileDescriptorProto()
        found.containing_service.file.CopyToProto(file)
        return {
            "text": answer.text,
            "options": str(told),
            "fields": {field.name: field.number for field in found.input_type.fields},
            "file": file.name,
        }


if __name__ == "__main__":
    seen.report(look)
