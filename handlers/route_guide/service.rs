//! The four RPCs, each as its profile has it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{Stream, stream};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::chat::{Chat, Talk};
use super::features::Features;
use super::geo::{Place, off_earth, place};
use super::profile::{Coordinates, UnknownPoint};
use super::route::Route;
use super::settings::Config;
use crate::proto::routeguide::route_guide_server::RouteGuide;
use crate::proto::routeguide::{Feature, Point, Rectangle, RouteNote, RouteSummary};

/// One configuration's service.
#[derive(Clone, Debug)]
pub(super) struct Service {
    config: Arc<Config>,
    features: Arc<Features>,
    chat: Chat,
}

impl Service {
    pub(super) fn new(config: &Config, features: Arc<Features>, chat: Chat) -> Service {
        Service { config: Arc::new(config.clone()), features, chat }
    }

    /// GetFeature.
    pub(super) fn feature(&self, point: Point) -> Result<Feature, Status> {
        let at = place(Some(point));
        self.on_earth("", at)?;
        let found = self.features.at(at).and_then(|found| self.features.get(found.first));
        Ok(match found {
            Some(feature) => feature.clone(),
            None => {
                let location = (self.config.unknown_point == UnknownPoint::Echo).then_some(point);
                Feature { name: String::new(), location }
            }
        })
    }

    /// Refuses a point that is not on earth, where the operator asks for that.
    fn on_earth(&self, field: &str, point: Place) -> Result<(), Status> {
        if self.config.coordinates == Coordinates::Lenient {
            return Ok(());
        }
        let Some((coordinate, why)) = off_earth(point) else { return Ok(()) };
        let field = if field.is_empty() { coordinate.to_owned() } else { format!("{field}.{coordinate}") };
        let details = ErrorDetails::with_bad_request_violation(&field, why);
        Err(Status::with_error_details(Code::InvalidArgument, format!("{field}: {why}"), details))
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl RouteGuide for Service {
    async fn get_feature(&self, request: Request<Point>) -> Result<Response<Feature>, Status> {
        self.feature(request.into_inner()).map(Response::new)
    }

    type ListFeaturesStream = Answers<Feature>;

    async fn list_features(&self, request: Request<Rectangle>) -> Result<Response<Self::ListFeaturesStream>, Status> {
        let Rectangle { lo, hi } = request.into_inner();
        let (lo, hi) = (place(lo), place(hi));
        self.on_earth("lo", lo)?;
        self.on_earth("hi", hi)?;
        let list_unnamed = self.config.list_unnamed;
        let listed = self.features.within(lo, hi).filter(move |feature| list_unnamed || !feature.name.is_empty());
        Ok(Response::new(Box::pin(stream::iter(listed.map(Ok)))))
    }

    async fn record_route(&self, request: Request<Streaming<Point>>) -> Result<Response<RouteSummary>, Status> {
        let started = Instant::now();
        let mut points = request.into_inner();
        let mut route = Route::new(&self.config, &self.features);
        // A client that breaks off ends this with an error, never with a summary.
        while let Some(point) = points.message().await? {
            let here = place(Some(point));
            self.on_earth("", here)?;
            route.pass(here);
        }
        Ok(Response::new(route.summary(started.elapsed())))
    }

    type RouteChatStream = Answers<RouteNote>;

    async fn route_chat(
        &self,
        request: Request<Streaming<RouteNote>>,
    ) -> Result<Response<Self::RouteChatStream>, Status> {
        let chat = Conversation {
            talk: self.chat.talk(),
            service: self.clone(),
            notes: request.into_inner(),
            replies: Vec::new().into_iter(),
        };
        let replies = stream::try_unfold(chat, |mut chat| async {
            let reply = chat.next().await?;
            Ok(reply.map(|reply| (reply, chat)))
        });
        Ok(Response::new(Box::pin(replies)))
    }
}

/// One open RouteChat. The next note is read when the last one's replies are
/// sent, so a reader that stalls holds back itself alone.
struct Conversation {
    service: Service,
    talk: Talk,
    notes: Streaming<RouteNote>,
    replies: std::vec::IntoIter<Arc<RouteNote>>,
}

impl Conversation {
    async fn next(&mut self) -> Result<Option<RouteNote>, Status> {
        loop {
            if let Some(reply) = self.replies.next() {
                return Ok(Some(RouteNote::clone(&reply)));
            }
            let Some(note) = self.notes.message().await? else { return Ok(None) };
            self.service.on_earth("location", place(note.location))?;
            self.replies = self.talk.leave(note)?.into_iter();
        }
    }
}
