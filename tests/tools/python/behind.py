"""A gRPC server that is not ours, for the kind `upstream`: Python's own, with its health service.

    behind.py

Prints its address, and answers RouteGuide without knowing its messages: GetFeature and RouteChat give back what they
are sent, with metadata ahead and after; RecordRoute fails with details. Each line of its standard input is what health
says from then on; it serves until that ends.
"""

import sys
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVICE = "routeguide.RouteGuide"
DETAILS = b"\x08\x05\x12\x08not here"


def decorated(context):
    context.send_initial_metadata((("x-ahead", "python"), ("x-ahead-bin", b"\x00\xff")))
    context.set_trailing_metadata((("x-after", "python"), ("x-seen", dict(context.invocation_metadata()).get("x-sent", ""))))


def get_feature(request, context):
    decorated(context)
    return request


def route_chat(requests, context):
    decorated(context)
    yield from requests


def record_route(requests, context):
    count = sum(1 for _ in requests)
    context.set_trailing_metadata((("grpc-status-details-bin", DETAILS),))
    context.abort(grpc.StatusCode.NOT_FOUND, f"{count} points, and none is here")


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    handlers = {
        "GetFeature": grpc.unary_unary_rpc_method_handler(get_feature),
        "RouteChat": grpc.stream_stream_rpc_method_handler(route_chat),
        "RecordRoute": grpc.stream_unary_rpc_method_handler(record_route),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    service = health.HealthServicer()
    service.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"127.0.0.1:{port}", flush=True)
    for line in sys.stdin:
        service.set(SERVICE, health_pb2.HealthCheckResponse.ServingStatus.Value(line.strip()))
    server.stop(None)


if __name__ == "__main__":
    main()
