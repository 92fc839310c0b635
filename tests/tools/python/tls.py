"""Asks a host for health over TLS, as Python's own library does it.

    tls.py ADDRESS NAME CA [CERTIFICATE KEY]

Prints the status of the call and what health said.
"""

import pathlib
import sys

import grpc
import seen
from grpc_health.v1 import health_pb2, health_pb2_grpc

address, name, *files = sys.argv[1:]
ca, certificate, key = [pathlib.Path(file).read_bytes() for file in files] + [None] * (3 - len(files))
credentials = grpc.ssl_channel_credentials(ca, key, certificate)
options = [("grpc.ssl_target_name_override", name), ("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0)]
with grpc.secure_channel(address, credentials, options) as channel:
    try:
        answer = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=seen.TIMEOUT_SECONDS
        )
        print("OK", health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
    except grpc.RpcError as error:
        print(error.code().name)
