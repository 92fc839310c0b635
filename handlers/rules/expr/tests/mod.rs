//! What expressions and templates do, read as sentences.

mod budget;
mod check;
mod evaluate;
mod robust;
mod template;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};

use super::{Expression, Failed, Names, Scope, Type, Value};

/// Every kind of field there is, in both syntaxes.
const SCHEMA: &str = r#"syntax = "proto3"; package shop;
import "google/protobuf/any.proto"; import "google/protobuf/duration.proto"; import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto"; import "google/protobuf/struct.proto"; import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto"; import "old.proto";
enum Color { NONE = 0; RED = 1; BLUE = 2; }
message Order {
  string name = 1; int32 count = 2; int64 total = 3; uint32 size = 4; uint64 serial = 5; sint32 change = 6;
  fixed64 mark = 7; float weight = 8; double price = 9; bool paid = 10; bytes photo = 11; Color color = 12;
  Item first = 13; repeated Item items = 14; repeated string tags = 15; repeated Color colors = 16;
  map<string, int32> stock = 17; map<int32, Item> shelves = 18; map<bool, string> flags = 19; map<uint64, double> rates = 20;
  oneof choice { string word = 21; int32 number = 22; Item thing = 23; }
  optional string note = 24; optional int32 rank = 25;
  google.protobuf.Timestamp placed = 26; google.protobuf.Duration lasts = 27; google.protobuf.Struct extra = 28;
  google.protobuf.Value anything = 29; google.protobuf.ListValue list = 30; google.protobuf.Any any = 31;
  google.protobuf.StringValue title = 32; google.protobuf.Int64Value bonus = 33; google.protobuf.FieldMask mask = 34;
  google.protobuf.Empty empty = 35; Order parent = 36; repeated google.protobuf.Timestamp times = 37;
  old.Thing thing_of_old = 38; google.protobuf.NullValue nothing = 39; string long_name = 40; google.protobuf.BytesValue blob = 41;
  google.protobuf.DoubleValue ratio = 42; google.protobuf.BoolValue maybe = 43;
}
message Item { string name = 1; int32 price_cents = 2; repeated Item parts = 3; }
"#;

const OLD: &str = r#"syntax = "proto2"; package old;
message Thing { optional string name = 1 [default = "nobody"]; optional int32 count = 2; required string must = 3; }"#;

fn pool() -> DescriptorPool {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop.proto"), SCHEMA).unwrap();
    std::fs::write(folder.path().join("old.proto"), OLD).unwrap();
    let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
    compiler.include_imports(true).open_file(folder.path().join("shop.proto")).unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}

fn order() -> MessageDescriptor {
    thread_local!(static ORDER: MessageDescriptor = pool().get_message_by_name("shop.Order").unwrap());
    ORDER.with(Clone::clone)
}

fn message(json: &serde_json::Value) -> DynamicMessage {
    DynamicMessage::deserialize(order(), json).unwrap()
}

fn scope() -> Scope {
    Scope::default()
        .with("request", Type::Message(order()))
        .with("state", Type::Dyn)
        .with("word", Type::String)
        .with("now", Type::Timestamp)
}

/// The first problem an expression has, and the text from where it is.
fn problem(text: &str) -> String {
    match Expression::compile(text, &scope()) {
        Ok(expression) => panic!("`{text}` is fine and gives {}", expression.gives()),
        Err(problem) => match problem.part_start() {
            Some(at) => format!("{} (from `{}`)", problem.words(), &text[at..]),
            None => problem.words(),
        },
    }
}

/// What an expression gives over a request and a state.
fn over(text: &str, request: &DynamicMessage, state: &Value) -> Result<Value, Failed> {
    let expression = Expression::compile(text, &scope()).unwrap_or_else(|problem| panic!("{text}: {problem}"));
    let names = Names::default().message("request", request).lent("state", state);
    expression.evaluate(&names)
}

/// What an expression gives over nothing.
fn value(text: &str) -> Result<Value, Failed> {
    over(text, &DynamicMessage::new(order()), &Value::Null)
}
