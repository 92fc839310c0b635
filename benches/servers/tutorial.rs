//! RouteGuide written the way a tutorial would have it: tonic's own server, a
//! loop over the database for every question, a task and a channel for every
//! streamed answer.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{Stream, stream};
use ostler::proto::routeguide::route_guide_server::{RouteGuide, RouteGuideServer};
use ostler::proto::routeguide::{Feature, Point, Rectangle, RouteNote, RouteSummary};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::Cost;

/// A hundred features, a few degrees apart.
pub(super) fn features() -> Vec<Feature> {
    let at = |number: i32| Point { latitude: number * 1_000_003, longitude: number * -700_001 };
    (0..100)
        .map(|number| Feature { name: format!("A place with a name, {number}"), location: Some(at(number)) })
        .collect()
}

pub(super) struct Tutorial {
    features: Arc<Vec<Feature>>,
    cost: Cost,
}

impl Tutorial {
    pub(super) fn new(cost: Cost) -> Tutorial {
        Tutorial { features: Arc::new(features()), cost }
    }
}

type Answers<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn received<T: Send + 'static>(mut receiver: mpsc::Receiver<Result<T, Status>>) -> Answers<T> {
    Box::pin(stream::poll_fn(move |context| receiver.poll_recv(context)))
}

#[tonic::async_trait]
impl RouteGuide for Tutorial {
    async fn get_feature(&self, request: Request<Point>) -> Result<Response<Feature>, Status> {
        self.cost.pay().await;
        let found = self.features.iter().find(|feature| feature.location.as_ref() == Some(request.get_ref()));
        Ok(Response::new(found.cloned().unwrap_or_default()))
    }

    type ListFeaturesStream = Answers<Feature>;

    async fn list_features(&self, request: Request<Rectangle>) -> Result<Response<Self::ListFeaturesStream>, Status> {
        let (sender, receiver) = mpsc::channel(4);
        let features = self.features.clone();
        tokio::spawn(async move {
            let Rectangle { lo, hi } = request.into_inner();
            let (lo, hi) = (lo.unwrap_or_default(), hi.unwrap_or_default());
            for feature in features.iter() {
                let at = feature.location.unwrap_or_default();
                let inside = (lo.latitude.min(hi.latitude)..=lo.latitude.max(hi.latitude)).contains(&at.latitude)
                    && (lo.longitude.min(hi.longitude)..=lo.longitude.max(hi.longitude)).contains(&at.longitude);
                if inside && sender.send(Ok(feature.clone())).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(received(receiver)))
    }

    async fn record_route(&self, request: Request<Streaming<Point>>) -> Result<Response<RouteSummary>, Status> {
        let mut points = request.into_inner();
        let mut summary = RouteSummary::default();
        let mut last: Option<Point> = None;
        while let Some(point) = points.message().await? {
            summary.point_count += 1;
            let known = self.features.iter().any(|feature| feature.location.as_ref() == Some(&point));
            summary.feature_count += i32::from(known);
            if let Some(last) = last.replace(point) {
                summary.distance += metres(&last, &point);
            }
        }
        Ok(Response::new(summary))
    }

    type RouteChatStream = Answers<RouteNote>;

    async fn route_chat(
        &self,
        request: Request<Streaming<RouteNote>>,
    ) -> Result<Response<Self::RouteChatStream>, Status> {
        let (sender, receiver) = mpsc::channel(4);
        let mut incoming = request.into_inner();
        tokio::spawn(async move {
            let mut notes: HashMap<(i32, i32), Vec<RouteNote>> = HashMap::new();
            while let Ok(Some(note)) = incoming.message().await {
                let at = note.location.unwrap_or_default();
                let here = notes.entry((at.latitude, at.longitude)).or_default();
                here.push(note);
                for note in here.iter() {
                    if sender.send(Ok(note.clone())).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(received(receiver)))
    }
}

/// Haversine, as the tutorial has it.
fn metres(from: &Point, to: &Point) -> i32 {
    let radians = |e7: i32| (f64::from(e7) / 1e7).to_radians();
    let (latitude_1, latitude_2) = (radians(from.latitude), radians(to.latitude));
    let (latitude, longitude) = (latitude_2 - latitude_1, radians(to.longitude) - radians(from.longitude));
    let a = (latitude / 2.0).sin().powi(2) + latitude_1.cos() * latitude_2.cos() * (longitude / 2.0).sin().powi(2);
    (2.0 * a.sqrt().atan2((1.0 - a).sqrt()) * 6_371_000.0) as i32
}

/// Serves on a port of the system's choosing, named on stderr.
pub(super) fn serve(mut runtime: tokio::runtime::Builder) {
    runtime.enable_all().build().expect("a runtime").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        eprintln!("{}", listener.local_addr().expect("an address"));
        let service = RouteGuideServer::new(Tutorial::new(Cost::default()));
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(super::accepted(listener))
            .await
            .expect("served");
    });
}
