//! The messages that rules put in an `Any`: reflection is to find them, though
//! the service need not import them.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::settings::Service;

/// Their names, wherever a reply or a failure's details have an `@type`.
pub(super) fn packed(service: &Service) -> BTreeSet<String> {
    let events =
        service.methods.0.iter().flat_map(|(_, method)| [&method.on_start, &method.on_message, &method.on_end]);
    let mut names = BTreeSet::new();
    for rule in events.flatten() {
        let replies = rule.reply.iter().chain(rule.replies.iter().flatten());
        let details = rule.fail.iter().flat_map(|fail| &fail.details);
        replies.chain(details).for_each(|tree| gather(tree, &mut names));
    }
    names
}

fn gather(tree: &Json, names: &mut BTreeSet<String>) {
    match tree {
        Json::Object(fields) => {
            let url = fields.get("@type").and_then(Json::as_str);
            names.extend(url.and_then(|url| url.rsplit('/').next()).map(str::to_owned));
            fields.values().for_each(|tree| gather(tree, names));
        }
        Json::Array(items) => items.iter().for_each(|tree| gather(tree, names)),
        _ => {}
    }
}
