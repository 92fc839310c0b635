//! What an edition's features say, from the file down to the field.
//!
//! The descriptor messages of the crates below have neither editions nor
//! features; these are views of the same bytes that have nothing else.

/// What holds for a field.
#[derive(Clone, Copy)]
pub(super) struct Features {
    pub(super) presence: Presence,
    pub(super) packed: bool,
    pub(super) delimited: bool,
}

/// Whether a field can be unset.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Explicit,
    Implicit,
    Required,
}

/// As editions 2023 and 2024 have them.
impl Default for Features {
    fn default() -> Features {
        Features { presence: Presence::Explicit, packed: true, delimited: false }
    }
}

impl Features {
    /// The same, but for what is said further in.
    pub(super) fn with(self, said: Option<&Said>) -> Features {
        let Some(said) = said else { return self };
        Features {
            presence: match said.presence {
                Some(1) => Presence::Explicit,
                Some(2) => Presence::Implicit,
                Some(3) => Presence::Required,
                _ => self.presence,
            },
            packed: match said.repeated {
                Some(1) => true,
                Some(2) => false,
                _ => self.packed,
            },
            delimited: match said.message {
                Some(1) => false,
                Some(2) => true,
                _ => self.delimited,
            },
        }
    }
}

/// `google.protobuf.FeatureSet`, in so far as a field is coded by it.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Said {
    #[prost(int32, optional, tag = "1")]
    presence: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    repeated: Option<i32>,
    #[prost(int32, optional, tag = "5")]
    message: Option<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FileView {
    #[prost(message, repeated, tag = "4")]
    pub(super) messages: Vec<MessageView>,
    #[prost(message, repeated, tag = "7")]
    pub(super) extensions: Vec<FieldView>,
    #[prost(message, optional, tag = "8")]
    options: Option<FileOptions>,
    #[prost(int32, tag = "14")]
    pub(super) edition: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MessageView {
    #[prost(message, repeated, tag = "2")]
    pub(super) fields: Vec<FieldView>,
    #[prost(message, repeated, tag = "3")]
    pub(super) nested: Vec<MessageView>,
    #[prost(message, repeated, tag = "6")]
    pub(super) extensions: Vec<FieldView>,
    #[prost(message, optional, tag = "7")]
    options: Option<MessageOptions>,
    #[prost(message, repeated, tag = "8")]
    pub(super) oneofs: Vec<OneofView>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FieldView {
    #[prost(message, optional, tag = "8")]
    options: Option<FieldOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OneofView {
    #[prost(message, optional, tag = "2")]
    options: Option<OneofOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FileOptions {
    #[prost(message, optional, tag = "50")]
    features: Option<Said>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MessageOptions {
    #[prost(message, optional, tag = "12")]
    features: Option<Said>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FieldOptions {
    #[prost(message, optional, tag = "21")]
    features: Option<Said>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OneofOptions {
    #[prost(message, optional, tag = "1")]
    features: Option<Said>,
}

macro_rules! said_by_options {
    ($($view:ty),*) => {$(
        impl $view {
            pub(super) fn features(&self) -> Option<&Said> {
                self.options.as_ref()?.features.as_ref()
            }
        }
    )*};
}

said_by_options!(FileView, MessageView, FieldView, OneofView);
