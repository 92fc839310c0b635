//! What failures' details are made of: files that hardly any service imports,
//! and that whoever is handed a detail asks for.

use prost::Message as _;

use super::index::decode;
use crate::config::Problem;
use crate::host::schema::{Files, RawSet};

/// By the names that they have wherever they are imported.
pub(super) const FILES: [&str; 2] = ["google/rpc/error_details.proto", "google/rpc/status.proto"];

/// The very files that the host's own details are made by, and their imports.
pub(super) fn own() -> Result<Files, Problem> {
    let set = RawSet::decode(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .map_err(|error| Problem::new(format!("the files of statuses cannot be read: {error}")))?;
    let mut files = Files::new();
    for mut bytes in set.file {
        let mut file = decode(&bytes)?;
        if file.package() == "google.rpc" {
            // They were compiled from their own folder (tests/upstream).
            file.name = Some(format!("google/rpc/{}", file.name()));
            bytes = file.encode_to_vec().into();
        }
        files.insert(file.name().to_owned(), bytes);
    }
    Ok(files)
}

#[test]
fn they_are_there_with_all_they_import() {
    let files = own().unwrap();
    for name in FILES {
        let file = decode(&files[name]).unwrap();
        assert_eq!((file.name(), file.package()), (name, "google.rpc"));
        assert!(file.dependency.iter().all(|import| files.contains_key(import)), "{file:?}");
    }
}
