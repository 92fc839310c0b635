//! What is told to calls that are turned away for load.

use std::sync::LazyLock;

use http::HeaderMap;
use tonic::Status;
use tonic::body::Body;

use crate::host::mount::Response;
use crate::host::status::overloaded;

/// Where there is no place for a call more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// Among all calls.
    Host,
    /// Among those from its address.
    Address,
}

impl Full {
    /// The answer. Far more calls may be turned away than answered, so it is made once.
    pub(super) fn answer(self) -> Response {
        static HOST: LazyLock<HeaderMap> = LazyLock::new(|| head("the host has as many calls as it takes"));
        static ADDRESS: LazyLock<HeaderMap> =
            LazyLock::new(|| head("the host has as many calls from this address as it takes"));
        let mut answer = Response::default();
        *answer.headers_mut() = match self {
            Full::Host => HOST.clone(),
            Full::Address => ADDRESS.clone(),
        };
        answer
    }
}

fn head(words: &str) -> HeaderMap {
    overloaded(words).into_http::<Body>().into_parts().0.headers
}

/// What a caller learns where there is no room for what its call needs.
pub(super) fn no_room() -> Status {
    overloaded("the host holds as many bytes as it may")
}
