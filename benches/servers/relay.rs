//! A relay as one writes it by hand: HTTP/2 in, HTTP/2 out, one connection to
//! the server behind, no deadline, no health, no limits.

use std::future::poll_fn;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use h2::server::SendResponse;
use http::Request;
use tokio::net::{TcpListener, TcpStream};

/// Serves on a port of the system's choosing, named on stderr.
pub(super) fn serve(behind: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let calls = async {
        let stream = TcpStream::connect(behind).await.expect("the server behind");
        stream.set_nodelay(true).expect("no delay");
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(1 << 17).initial_connection_window_size(1 << 24);
        let (to, connection) = builder.handshake::<_, Bytes>(stream).await.expect("HTTP/2");
        tokio::spawn(connection);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        eprintln!("{}", listener.local_addr().expect("an address"));
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let to = to.clone();
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(relay(request, respond, to.clone()));
                }
            });
        }
    };
    runtime.block_on(calls);
}

async fn relay(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    to: SendRequest<Bytes>,
) -> Result<(), h2::Error> {
    let (head, mut body) = request.into_parts();
    let (answer, mut sending) = to.ready().await?.send_request(Request::from_parts(head, ()), false)?;
    while let Some(data) = body.data().await {
        let data = data?;
        let _ = body.flow_control().release_capacity(data.len());
        sending.send_data(data, body.is_end_stream())?;
    }
    let (head, mut body) = answer.await?.into_parts();
    let mut sending = respond.send_response(http::Response::from_parts(head, ()), false)?;
    while let Some(data) = poll_fn(|context| body.poll_data(context)).await {
        let data = data?;
        let _ = body.flow_control().release_capacity(data.len());
        sending.send_data(data, false)?;
    }
    if let Some(trailers) = body.trailers().await? {
        sending.send_trailers(trailers)?;
    }
    Ok(())
}
