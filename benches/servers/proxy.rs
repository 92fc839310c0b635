//! A proxy as one writes it with tonic: the generated server, whose handler
//! calls a client over one channel. The client is `tonic::client::Grpc`, which
//! is all that a generated one calls.

use futures_util::stream;
use http::uri::PathAndQuery;
use ostler::proto::routeguide::route_guide_server::{RouteGuide, RouteGuideServer};
use ostler::proto::routeguide::{Feature, Point, Rectangle, RouteNote, RouteSummary};
use tokio::net::TcpListener;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

struct Proxy(Channel);

type Never<T> = stream::Pending<Result<T, Status>>;

#[tonic::async_trait]
impl RouteGuide for Proxy {
    async fn get_feature(&self, request: Request<Point>) -> Result<Response<Feature>, Status> {
        let mut client = Grpc::new(self.0.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static("/routeguide.RouteGuide/GetFeature");
        client.unary(request, path, ProstCodec::<Point, Feature>::default()).await
    }

    type ListFeaturesStream = Never<Feature>;

    async fn list_features(&self, _: Request<Rectangle>) -> Result<Response<Never<Feature>>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn record_route(&self, _: Request<Streaming<Point>>) -> Result<Response<RouteSummary>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    type RouteChatStream = Never<RouteNote>;

    async fn route_chat(&self, _: Request<Streaming<RouteNote>>) -> Result<Response<Never<RouteNote>>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}

/// Serves on a port of the system's choosing, named on stderr.
pub(super) fn serve(behind: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let channel = Channel::from_shared(format!("http://{behind}")).expect("an address");
        let channel = channel.connect().await.expect("the server behind");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        eprintln!("{}", listener.local_addr().expect("an address"));
        let server = tonic::transport::Server::builder().add_service(RouteGuideServer::new(Proxy(channel)));
        server.serve_with_incoming(super::accepted(listener)).await.expect("served");
    });
}
