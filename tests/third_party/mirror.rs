//! Services that are not compiled in: any schema whose messages have a `text`,
//! read when the host starts or reloads, and answered by turning texts around.

use std::path::PathBuf;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ostler::config::Problem;
use ostler::host::{BoxError, Build, Conversation, Dynamic, Messages, Mount, Plugin};
use prost_reflect::{DynamicMessage, MessageDescriptor, Value};
use protox::file::File;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tonic::Status;

/// Turns the `text` of every request around.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A .proto file that declares the service.
    schema: PathBuf,
}

/// The plugin.
pub struct Mirror;

impl Plugin for Mirror {
    const KIND: &'static str = "mirror";
    type Config = Config;

    async fn build(&self, config: Config, build: &Build) -> Result<Mount, BoxError> {
        let at_schema = |problem: Problem| problem.within("schema");
        // Read by `build`, so that the host watches the file as it does its own.
        let text = build.read(&config.schema, 1 << 20).await.map_err(at_schema)?;
        let descriptors = compile(text).map_err(|error| at_schema(Problem::new(error.to_string())))?;
        Ok(Mount::dynamic(build.service(), &descriptors, Reversing)?)
    }
}

/// Compiles one file that imports no other.
fn compile(text: Vec<u8>) -> Result<Vec<u8>, BoxError> {
    let file = File::from_source("mirror.proto", &String::from_utf8(text)?)?;
    let mut compiler = protox::Compiler::with_file_resolver(OneFile(file));
    compiler.include_source_info(true).open_file("mirror.proto")?;
    Ok(compiler.encode_file_descriptor_set())
}

/// A file already in memory, as protox asks for it.
struct OneFile(File);

impl protox::file::FileResolver for OneFile {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == self.0.name() { Ok(self.0.clone()) } else { Err(protox::Error::file_not_found(name)) }
    }
}

/// The behaviour, for all four kinds of RPC.
struct Reversing;

impl Dynamic for Reversing {
    fn call(&self, Conversation { method, requests, .. }: Conversation) -> Messages {
        let answer = method.output();
        let texts = requests.map_ok(|request| text_of(&request));
        match (method.is_client_streaming(), method.is_server_streaming()) {
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
        }
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
