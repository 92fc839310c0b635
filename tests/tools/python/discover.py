"""Finds a host's services and calls RouteGuide knowing nothing but the address: reflection, then dynamic messages.

    discover.py ADDRESS

Also asks for health the way a client library would. Prints one JSON object of everything it saw.
"""

import sys

import grpc
import seen
from google.protobuf import descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

TIMEOUT = seen.TIMEOUT_SECONDS
SERVICE = "routeguide.RouteGuide"
NOBODY = "no.such.Service"


def kind(method):
    """`unary_unary`, `stream_unary` and so on: also the name of the channel's method that makes such a call."""
    return "_".join("stream" if streams else "unary" for streams in (method.client_streaming, method.server_streaming))


def knows(database, symbol):
    try:
        database.FindFileContainingSymbol(symbol)
    except KeyError:  # how the library passes on an in-band NOT_FOUND
        return False
    return True


class Dynamic:
    """A client of one service, made of its descriptor."""

    def __init__(self, channel, service):
        self.channel, self.service = channel, service

    def __call__(self, name, build):
        """Calls a method; `build` makes the request (or the requests) from the class found by reflection."""
        method = self.service.methods_by_name[name]
        request, response = map(message_factory.GetMessageClass, (method.input_type, method.output_type))
        call = getattr(self.channel, kind(method))(
            f"/{self.service.full_name}/{name}", request.SerializeToString, response.FromString
        )
        return call(build(request), timeout=TIMEOUT)


def route_guide(call):
    """One call of each of the four kinds. Nested messages are given as dicts, for want of their classes."""

    def at(pair):
        return dict(zip(("latitude", "longitude"), pair))

    lo, hi = map(at, seen.CORNERS)
    return {
        "get_feature": seen.feature(call("GetFeature", lambda Point: Point(**at(seen.KNOWN)))),
        "list": seen.features(call("ListFeatures", lambda Rectangle: Rectangle(lo=lo, hi=hi))),
        "four_points": seen.summary(
            call("RecordRoute", lambda Point: iter([Point(**at(pair)) for pair in seen.FOUR_POINTS]))
        ),
        "chat": seen.notes(
            call("RouteChat", lambda Note: iter([Note(location=at(pair), message=text) for pair, text in seen.NOTES]))
        ),
    }


def health(channel):
    stub = health_pb2_grpc.HealthStub(channel)

    def status(reply):
        return health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status)

    def check(name):
        try:
            return status(stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT))
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise
            return error.code().name

    streams = {
        name: stub.Watch(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT) for name in (SERVICE, NOBODY)
    }
    watch = {name: {"first": status(next(stream))} for name, stream in streams.items()}
    checked = {name: check(name) for name in ("", SERVICE, NOBODY)}
    # The checks were round trips on the same connection: a stream that the server ended would have ended by now.
    for name, stream in streams.items():
        watch[name]["open"] = stream.is_active()
        stream.cancel()
    return {"check": checked, "watch": watch}


def look():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with seen.channel(sys.argv[1]) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = descriptor_pool.DescriptorPool(database)
        services = list(database.get_services())
        found = {name: pool.FindServiceByName(name) for name in services}
        return {
            "services": services,
            "methods": {name: {method.name: kind(method) for method in found[name].methods} for name in services},
            "knows_nobody": knows(database, NOBODY),
            **route_guide(Dynamic(channel, pool.FindServiceByName(SERVICE))),
            "health": health(channel),
        }


if __name__ == "__main__":
    seen.report(look)
