//! The six reference servers, as a table of where they differ.
//!
//! Read from the servers' own sources. Where one of them crashes (an unset
//! point), none of the profiles does: an unset point is (0,0).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A reference server, by the language it is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Profile {
    /// grpc's Python server, where this project began.
    #[default]
    Python,
    /// grpc's C++ server.
    Cpp,
    /// grpc-go.
    Go,
    /// grpc-java.
    Java,
    /// grpc's Node server.
    Node,
    /// tonic's Rust server.
    Tonic,
}

/// GetFeature where nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UnknownPoint {
    /// The asked location comes back.
    Echo,
    /// No location comes back.
    Unset,
}

/// Several features at one point of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Duplicates {
    /// The database's first counts.
    First,
    /// Each counts.
    Each,
}

/// How a route's length is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Distance {
    /// Legs summed in f64, the sum truncated to metres.
    Sum,
    /// Each leg truncated to metres, then summed.
    PerLeg,
    /// Legs computed and summed in f32, as the C++ server does.
    Single,
}

/// Who sees a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scope {
    /// Its own call only.
    Stream,
    /// Every caller.
    Shared,
}

/// Points that are not on earth (|latitude| > 90° or |longitude| > 180°).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Coordinates {
    /// Taken as they come, as every reference server does.
    #[default]
    Lenient,
    /// Refused with INVALID_ARGUMENT, naming the field.
    Strict,
}

/// One column of the table.
pub(super) struct Row {
    pub(super) unknown_point: UnknownPoint,
    pub(super) list_unnamed: bool,
    pub(super) count_unnamed: bool,
    pub(super) duplicates: Duplicates,
    pub(super) distance: Distance,
    pub(super) scope: Scope,
    pub(super) send_back: bool,
}

impl Profile {
    /// What this server does, point by point.
    pub(super) fn row(self) -> Row {
        use Distance::{PerLeg, Single, Sum};
        use Duplicates::{Each, First};
        use Scope::{Shared, Stream};
        use UnknownPoint::{Echo, Unset};
        let row = |unknown_point, list_unnamed, count_unnamed, duplicates, distance, scope, send_back| Row {
            unknown_point,
            list_unnamed,
            count_unnamed,
            duplicates,
            distance,
            scope,
            send_back,
        };
        match self {
            //              unknown list   count  dupl.  distance scope   send back
            Profile::Python => row(Echo, true, true, First, Sum, Stream, false),
            Profile::Cpp => row(Echo, true, false, First, Single, Shared, false),
            Profile::Go => row(Echo, true, true, Each, PerLeg, Shared, true),
            Profile::Java => row(Echo, false, false, First, PerLeg, Shared, false),
            Profile::Node => row(Echo, false, false, First, Sum, Shared, false),
            Profile::Tonic => row(Unset, true, true, Each, PerLeg, Stream, true),
        }
    }
}
