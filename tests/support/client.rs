//! A RouteGuide client of the crate's own messages, for what must be counted
//! and timed rather than shown with somebody else's tool.

use futures_util::StreamExt as _;
use ostler::proto::routeguide::{Feature, Point, Rectangle, RouteNote, RouteSummary};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

/// One connection.
#[derive(Clone)]
pub struct Client(Grpc<Channel>);

pub fn point(latitude: i32, longitude: i32) -> Point {
    Point { latitude, longitude }
}

pub fn note(latitude: i32, longitude: i32, message: &str) -> RouteNote {
    RouteNote { location: Some(point(latitude, longitude)), message: message.to_owned() }
}

/// The whole earth.
pub fn world() -> Rectangle {
    Rectangle { lo: Some(point(-900_000_000, -1_800_000_000)), hi: Some(point(900_000_000, 1_800_000_000)) }
}

fn path(method: &str) -> PathAndQuery {
    format!("/routeguide.RouteGuide/{method}").parse().unwrap()
}

impl Client {
    pub async fn connect(address: &str) -> Client {
        Client(Grpc::new(channel(address).await))
    }

    /// As [`connect`](Self::connect), to an address that is encrypted.
    pub async fn connect_tls(address: &str, tls: ClientTlsConfig) -> Result<Client, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(tls)?;
        Ok(Client(Grpc::new(endpoint.connect().await?)))
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.0.ready().await.map_err(|error| Status::unavailable(error.to_string()))
    }

    pub async fn get_feature(&mut self, point: Point) -> Result<Feature, Status> {
        self.ready().await?;
        let codec = ProstCodec::<Point, Feature>::default();
        Ok(self.0.unary(Request::new(point), path("GetFeature"), codec).await?.into_inner())
    }

    pub async fn list_features_stream(&mut self, rectangle: Rectangle) -> Result<Streaming<Feature>, Status> {
        self.ready().await?;
        let codec = ProstCodec::<Rectangle, Feature>::default();
        Ok(self.0.server_streaming(Request::new(rectangle), path("ListFeatures"), codec).await?.into_inner())
    }

    pub async fn list_features(&mut self, rectangle: Rectangle) -> Result<Vec<Feature>, Status> {
        let mut stream = self.list_features_stream(rectangle).await?;
        let mut features = Vec::new();
        while let Some(feature) = stream.next().await {
            features.push(feature?);
        }
        Ok(features)
    }

    pub async fn record_route(&mut self, points: Vec<Point>) -> Result<RouteSummary, Status> {
        self.ready().await?;
        let codec = ProstCodec::<Point, RouteSummary>::default();
        let points = Request::new(futures_util::stream::iter(points));
        Ok(self.0.client_streaming(points, path("RecordRoute"), codec).await?.into_inner())
    }

    /// An open chat: notes go in by the sender.
    pub async fn route_chat(&mut self) -> Result<(tokio::sync::mpsc::Sender<RouteNote>, Streaming<RouteNote>), Status> {
        self.ready().await?;
        let (sender, mut notes) = tokio::sync::mpsc::channel(16);
        let notes = futures_util::stream::poll_fn(move |context| notes.poll_recv(context));
        let codec = ProstCodec::<RouteNote, RouteNote>::default();
        let replies = self.0.streaming(Request::new(notes), path("RouteChat"), codec).await?.into_inner();
        Ok((sender, replies))
    }

    /// Sends these notes and returns every reply.
    pub async fn chat(&mut self, notes: Vec<RouteNote>) -> Result<Vec<RouteNote>, Status> {
        let (sender, mut replies) = self.route_chat().await?;
        let sending = async move {
            for note in notes {
                if sender.send(note).await.is_err() {
                    break;
                }
            }
        };
        let receiving = async {
            let mut all = Vec::new();
            while let Some(reply) = replies.next().await {
                all.push(reply?);
            }
            Ok(all)
        };
        tokio::join!(sending, receiving).1
    }
}

/// A channel to `127.0.0.1:PORT` or `unix:/path`.
pub async fn channel(address: &str) -> Channel {
    let uri = if address.starts_with("unix:") { address.to_owned() } else { format!("http://{address}") };
    Endpoint::from_shared(uri).unwrap().connect().await.unwrap()
}
