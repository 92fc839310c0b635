"""A client that talks and does not listen: thousands of tiny notes, and no reply read for a while.

    stall.py ADDRESS COUNT

The host sends each note back, so its handler stalls as soon as nobody takes the replies, and the notes pile up in
front of it. Then every reply is read; a lost connection is an error.
"""

import sys
import threading

import seen
import tutorial_client

TIMEOUT = seen.TIMEOUT_SECONDS
STALL_SECONDS = 2


def main():
    address, count = sys.argv[1], int(sys.argv[2])
    pb, services = tutorial_client.stubs(tutorial_client.PROTO_DIR)
    all_taken = threading.Event()

    def notes():
        for number in range(count):
            yield pb.RouteNote(location=pb.Point(latitude=number % 1000, longitude=1))
        all_taken.set()

    with seen.channel(address) as channel:
        stub = services.RouteGuideStub(channel)
        replies = stub.RouteChat(notes(), timeout=TIMEOUT)
        # The stall is what this is about; where all notes are taken sooner there is none.
        all_taken.wait(STALL_SECONDS)
        stub.GetFeature(pb.Point(latitude=1), timeout=TIMEOUT)
        return {"replies": sum(1 for _ in replies)}


if __name__ == "__main__":
    seen.report(main)
