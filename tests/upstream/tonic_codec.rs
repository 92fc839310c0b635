//! tonic's codec: a request's body as its decoder reads it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use ostler::proto::routeguide::Point;
use prost::Message as _;
use tonic::codec::Codec as _;
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::support::wire::framed;

/// A body of these frames.
struct Frames(Vec<Result<Bytes, Status>>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let next = if self.0.is_empty() { None } else { Some(self.0.remove(0)) };
        Poll::Ready(next.map(|frame| frame.map(Frame::data)))
    }
}

fn decoded(frames: Vec<Result<Bytes, Status>>, largest: Option<usize>) -> Streaming<Point> {
    let mut codec = ProstCodec::<Point, Point>::default();
    Streaming::new_request(codec.decoder(), Frames(frames), None, largest)
}

/// Hence host/entrance/incoming.rs ends a broken upload with another status.
#[tokio::test]
async fn tonic_reads_a_cancelled_upload_as_a_clean_end() {
    let message = framed(0, &Point { latitude: 1, longitude: 2 }.encode_to_vec());
    let mut upload = decoded(vec![Ok(message.clone()), Err(Status::cancelled("reset by the peer"))], None);
    assert!(upload.message().await.unwrap().is_some());
    assert_eq!(
        upload.message().await.expect("tonic tells a broken upload from a whole one: the workaround can go"),
        None
    );
    let mut upload = decoded(vec![Ok(message), Err(Status::aborted("reset by the peer"))], None);
    assert!(upload.message().await.unwrap().is_some());
    assert_eq!(upload.message().await.unwrap_err().code(), Code::Aborted);
}

/// Hence host/entrance/framing.rs looks at every prefix itself.
#[tokio::test]
async fn tonic_answers_a_message_over_its_bound_with_out_of_range() {
    let mut stream = decoded(vec![Ok(framed(0, &[0; 100]))], Some(10));
    let code = stream.message().await.unwrap_err().code();
    assert_eq!(code, Code::OutOfRange, "tonic answers as gRPC has it: the workaround can go");
}
