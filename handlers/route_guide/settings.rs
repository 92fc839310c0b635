//! What an operator may set, and what a profile decides where they do not.

use std::borrow::Cow;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::features::Entry;
use super::profile::{Coordinates, Distance, Duplicates, Profile, Scope, UnknownPoint};
use crate::config::units::{Period, Rate, Size};

/// Everything decided: as written, or else as the profile has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(from = "Settings")]
pub struct Config {
    profile: Profile,
    pub(super) features: Source,
    pub(super) unknown_point: UnknownPoint,
    pub(super) list_unnamed: bool,
    pub(super) count_unnamed: bool,
    pub(super) duplicates: Duplicates,
    pub(super) distance: Distance,
    pub(super) coordinates: Coordinates,
    pub(super) chat: Chat,
}

/// How notes are answered and kept.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Chat {
    pub(super) scope: Scope,
    pub(super) send_back: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<Rate>,
    pub(super) keep: Keep,
}

/// The official tutorial's RouteGuide, answering as any of its reference servers.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "RouteGuide")]
struct Settings {
    /// Which reference server to answer like; each row marked (profile) can also be set by itself.
    profile: Profile,
    /// Where the features come from.
    features: Source,
    /// (profile) GetFeature where nothing is: echo the asked location, or leave it unset.
    unknown_point: Option<UnknownPoint>,
    /// (profile) Whether ListFeatures tells features that have no name.
    list_unnamed: Option<bool>,
    /// (profile) Whether feature_count counts features that have no name.
    count_unnamed: Option<bool>,
    /// (profile) Where several features share a point: the first counts, or each does.
    duplicates: Option<Duplicates>,
    /// (profile) How a route's length is added up.
    distance: Option<Distance>,
    /// Whether points that are not on earth are taken or refused.
    coordinates: Coordinates,
    /// RouteChat.
    chat: ChatSettings,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct ChatSettings {
    /// (profile) Who sees a note: its own call only, or every caller.
    scope: Option<Scope>,
    /// (profile) Whether a new note is the last of its own replies.
    send_back: Option<bool>,
    /// The most notes one call may leave in a time; a faster one is refused. No limit by default.
    rate: Option<Rate>,
    /// The retention policy; every bound is enforced.
    keep: Keep,
}

/// How many notes are kept, and for how long.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Keep {
    /// Notes at one place; then its oldest is dropped.
    pub(super) notes_per_place: std::num::NonZeroU32,
    /// How long a note is kept.
    pub(super) age: Period,
    /// Places with notes, in all; then a new place is refused.
    pub(super) places: std::num::NonZeroU32,
    /// Memory for notes, in all; then a new place is refused and a known one drops its oldest.
    pub(super) total: Size,
    /// The largest message; a larger one is refused.
    pub(super) note: Size,
}

impl Default for Keep {
    fn default() -> Self {
        let count = |number| std::num::NonZeroU32::new(number).unwrap_or(std::num::NonZeroU32::MIN);
        Keep {
            notes_per_place: count(1_000),
            age: Period(std::time::Duration::from_secs(24 * 60 * 60)),
            places: count(100_000),
            total: Size(256 << 20),
            note: Size(4 << 10),
        }
    }
}

/// Where features come from.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// The places of the IANA time zone database, which ship with the binary.
    #[default]
    Embedded,
    /// A JSON file in either shape of the reference servers' databases.
    File(PathBuf),
    /// Features written out here.
    Inline(Vec<Entry>),
}

/// Described as it is written.
impl JsonSchema for Config {
    fn schema_name() -> Cow<'static, str> {
        Settings::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }
}

impl From<Settings> for Config {
    fn from(settings: Settings) -> Config {
        let Settings {
            profile,
            features,
            unknown_point,
            list_unnamed,
            count_unnamed,
            duplicates,
            distance,
            coordinates,
            chat,
        } = settings;
        let row = profile.row();
        Config {
            profile,
            features,
            unknown_point: unknown_point.unwrap_or(row.unknown_point),
            list_unnamed: list_unnamed.unwrap_or(row.list_unnamed),
            count_unnamed: count_unnamed.unwrap_or(row.count_unnamed),
            duplicates: duplicates.unwrap_or(row.duplicates),
            distance: distance.unwrap_or(row.distance),
            coordinates,
            chat: Chat {
                scope: chat.scope.unwrap_or(row.scope),
                send_back: chat.send_back.unwrap_or(row.send_back),
                rate: chat.rate,
                keep: chat.keep,
            },
        }
    }
}
