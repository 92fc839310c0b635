"""What the Python clients share: the tutorial's requests, a channel, and the JSON shapes of what came back.

The shapes take generated and dynamic messages alike; `node/seen.js` makes the same ones, so that one set of
expectations serves every client.
"""

import faulthandler
import json
import pathlib
import sys
import traceback

import grpc

HERE = pathlib.Path(__file__).resolve().parent
TIMEOUT_SECONDS = 30

# E7 pairs: (latitude, longitude).
KNOWN = (409146138, -746188906)
UNKNOWN = (0, 0)
CORNERS = ((400000000, -750000000), (420000000, -730000000))
FOUR_POINTS = tuple((degree * 10**7, degree * 10**7) for degree in (1, 2, 3, 4))
# The first place is visited three times and the third twice, so on a fresh server notes come back.
NOTES = (
    ((0, 0), "First message"),
    ((0, 1), "Second message"),
    ((1, 0), "Third message"),
    ((0, 0), "Fourth message"),
    ((1, 0), "Fifth message"),
)


def channel(address):
    """A plaintext channel that shows the server's own behaviour: no retries to hide a failure, no proxy between."""
    return grpc.insecure_channel(address, options=[("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0)])


def place(message):
    """The location of a Feature or RouteNote; an unset one differs from (0, 0), as profiles differ in it."""
    if not message.HasField("location"):
        return {"has_location": False, "latitude": None, "longitude": None}
    point = message.location
    return {"has_location": True, "latitude": point.latitude, "longitude": point.longitude}


def feature(message):
    return {"name": message.name, **place(message)}


def features(messages):
    """A ListFeatures stream, by what tells one profile from another: how many, how many unnamed, in which order."""
    names = [message.name for message in messages]
    return {"count": len(names), "unnamed": names.count(""), "names": names}


def summary(message):
    return {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}


def notes(messages):
    return [{"message": message.message, **place(message)} for message in messages]


def report(look):
    """Prints what `look()` saw as one JSON object, or says which call failed and why, and exits with 1."""
    # Some library calls take no timeout; this ends the process wherever it hangs and shows where that was.
    faulthandler.dump_traceback_later(3 * TIMEOUT_SECONDS, exit=True)
    try:
        seen = look()
    except grpc.RpcError as error:
        # An RpcError does not know its method, the line that called it does; the library's own frames only hide it.
        frames = traceback.extract_tb(error.__traceback__)
        traceback.print_list([frame for frame in frames if pathlib.Path(frame.filename).resolve().parent == HERE])
        sys.exit(f"{error.code().name}: {error.details()}")
    json.dump(seen, sys.stdout)
    print()
