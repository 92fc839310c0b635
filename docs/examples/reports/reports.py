"""reports.v1.Reports in Python: `process: { command: [python3, reports.py] }`. Needs grpcio and grpcio-tools."""

import os
import signal
from concurrent import futures

import grpc

pb, services = grpc.protos_and_services("reports.proto")


class Reports(services.ReportsServicer):
    def Get(self, ask, context):
        return pb.Report(name=ask.name, lines=len(ask.name), pid=os.getpid())

    def List(self, ask, context):
        for number in range(ask.count):
            yield pb.Report(name=ask.name, lines=number)

    def Sum(self, reports, context):
        return pb.Report(name="sum", lines=sum(report.lines for report in reports))

    def Talk(self, asks, context):
        for ask in asks:
            yield self.Get(ask, context)


server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
services.add_ReportsServicer_to_server(Reports(), server)
server.add_insecure_port(os.environ["OSTLER_LISTEN"])
server.start()
signal.signal(signal.SIGTERM, lambda *_: server.stop(grace=2))
server.wait_for_termination()
