//! The guests: every kind of service this binary brings, one folder each. None
//! knows another, and none knows the host beyond its plugin seam.

pub mod process;
pub mod route_guide;
pub mod rules;
pub mod upstream;

use crate::host::Registry;

/// The one list: what `handler:` may name in the standard binary.
pub fn standard() -> Registry {
    Registry::default().with(process::Process).with(route_guide::RouteGuide).with(rules::Rules).with(upstream::Upstream)
}
