//! Services that are not compiled in: any schema whose messages have a `text`,
//! answered by turning texts around.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ostler::host::{BoxError, Build, Conversation, Dynamic, Messages, Mount, Plugin, Reply};
use prost_reflect::{DynamicMessage, MessageDescriptor, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tonic::Status;

/// Turns the `text` of every request around.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// The plugin.
pub struct Mirror;

impl Plugin for Mirror {
    const KIND: &'static str = "mirror";
    type Config = Config;

    async fn build(&self, _: Config, build: &Build) -> Result<Mount, BoxError> {
        Ok(Mount::dynamic(build.schema()?, build.service(), Reversing)?)
    }
}

/// The behaviour, for all four kinds of RPC.
struct Reversing;

impl Dynamic for Reversing {
    async fn call(self: Arc<Self>, conversation: Conversation) -> Result<Reply, Status> {
        let Conversation { method, requests, .. } = conversation;
        let answer = method.output();
        let texts = requests.map_ok(|request| text_of(&request));
        let messages: Messages = match (method.is_client_streaming(), method.is_server_streaming()) {
            // One answer to each request, as it comes.
            (false, false) | (true, true) => Box::pin(texts.map(move |text| reversed(&answer, &text?))),
            // One answer to each word of the request.
            (false, true) => Box::pin(texts.flat_map(move |text| {
                let words = text.map(|text| text.split(' ').map(|word| reversed(&answer, word)).collect());
                stream::iter(words.unwrap_or_else(|status| vec![Err(status)]))
            })),
            // One answer to all requests together.
            (true, false) => Box::pin(stream::once(async move {
                let texts: Vec<String> = texts.try_collect().await?;
                reversed(&answer, &texts.join(" "))
            })),
        };
        Ok(messages.into())
    }
}

fn text_of(request: &DynamicMessage) -> String {
    let text = request.get_field_by_name("text");
    text.and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
}

fn reversed(answer: &MessageDescriptor, text: &str) -> Result<DynamicMessage, Status> {
    let mut message = DynamicMessage::new(answer.clone());
    let text = Value::String(text.chars().rev().collect());
    message.try_set_field_by_name("text", text).map_err(|error| Status::internal(error.to_string()))?;
    Ok(message)
}
