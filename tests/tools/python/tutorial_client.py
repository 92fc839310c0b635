"""The official tutorial's Python client in our own words, for a test to compare with what a profile promises.

    tutorial_client.py ADDRESS [--proto-dir DIR] [--profile NAME] [--route FILE.json] [--unset]

It uses the API the way the tutorial's readers do (stubs from protoc; calls that block, futures, iterators) and
prints one JSON object of everything it saw.
"""

import argparse
import importlib
import json
import pathlib
import sys
import tempfile

import seen
from grpc_tools import protoc

PROTO_DIR = pathlib.Path(__file__).resolve().parents[3] / "proto"
TIMEOUT = seen.TIMEOUT_SECONDS


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--proto-dir", default=PROTO_DIR, help="holds routeguide/route_guide.proto")
    parser.add_argument("--profile", help="only repeated in the output, to tell reports apart")
    parser.add_argument("--route", help="a database file whose points are travelled in order")
    parser.add_argument("--unset", action="store_true", help="also send messages whose points are unset")
    return parser.parse_args()


def stubs(proto_dir):
    """The two generated modules. They are read at import, so their folder need not live longer."""
    with tempfile.TemporaryDirectory() as out:
        flags = [f"-I{proto_dir}", f"--python_out={out}", f"--grpc_python_out={out}"]
        if protoc.main(["protoc", *flags, "routeguide/route_guide.proto"]) != 0:
            sys.exit(f"protoc cannot compile {proto_dir}/routeguide/route_guide.proto")
        sys.path.insert(0, out)
        return tuple(importlib.import_module(f"routeguide.route_guide_pb2{part}") for part in ("", "_grpc"))


def point(pb, pair):
    return pb.Point(latitude=pair[0], longitude=pair[1])


def travel(stub, points):
    return seen.summary(stub.RecordRoute(iter(points), timeout=TIMEOUT))


def tutorial(pb, stub):
    """The four parts of the tutorial, in its order."""
    known, unknown = point(pb, seen.KNOWN), point(pb, seen.UNKNOWN)
    with_call, call = stub.GetFeature.with_call(known, timeout=TIMEOUT)
    lo, hi = (point(pb, corner) for corner in seen.CORNERS)
    notes = [pb.RouteNote(location=point(pb, pair), message=message) for pair, message in seen.NOTES]
    return {
        "get_feature": seen.feature(stub.GetFeature(known, timeout=TIMEOUT)),
        "future": seen.feature(stub.GetFeature.future(known, timeout=TIMEOUT).result()),
        "with_call": {**seen.feature(with_call), "code": call.code().name},
        "unknown": seen.feature(stub.GetFeature(unknown, timeout=TIMEOUT)),
        "list": seen.features(stub.ListFeatures(pb.Rectangle(lo=lo, hi=hi), timeout=TIMEOUT)),
        "four_points": travel(stub, [point(pb, pair) for pair in seen.FOUR_POINTS]),
        "chat": seen.notes(stub.RouteChat(iter(notes), timeout=TIMEOUT)),
    }


def unset(pb, stub):
    """Messages without their points, which crash some of the tutorial's servers and must be (0, 0) for ours."""
    notes = [
        pb.RouteNote(message="Nowhere"),
        pb.RouteNote(location=pb.Point(), message="Zero"),
        pb.RouteNote(message="Nowhere again"),
    ]
    return {
        "get_feature": seen.feature(stub.GetFeature(pb.Point(), timeout=TIMEOUT)),
        "list": seen.features(stub.ListFeatures(pb.Rectangle(), timeout=TIMEOUT)),
        "route": travel(stub, [pb.Point(), point(pb, seen.FOUR_POINTS[0])]),
        "chat": seen.notes(stub.RouteChat(iter(notes), timeout=TIMEOUT)),
    }


def look():
    args = arguments()
    pb, pb_grpc = stubs(args.proto_dir)
    with seen.channel(args.address) as channel:
        stub = pb_grpc.RouteGuideStub(channel)
        found = {"profile": args.profile, **tutorial(pb, stub)}
        if args.route:
            places = [entry["location"] for entry in json.loads(pathlib.Path(args.route).read_text())]
            found["route"] = travel(stub, [point(pb, (at["latitude"], at["longitude"])) for at in places])
        if args.unset:
            found["unset"] = unset(pb, stub)
        return found


if __name__ == "__main__":
    seen.report(look)
