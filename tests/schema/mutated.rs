//! Sound sets with a few bytes changed, over and over: whatever they say now,
//! nothing panics, and it is we who find what is wrong with them.

use ostler::host::Schema;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind};

use crate::support::project;

const ROUNDS: u64 = 4_000;

/// A small generator with a fixed seed (xorshift), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// What a host does with a schema, and the command line's client.
fn use_it(schema: &Schema) {
    for message in schema.pool().all_messages() {
        let mut made = DynamicMessage::new(message.clone());
        for field in message.fields() {
            if field.is_map()
                && let Kind::Message(entry) = field.kind()
            {
                let _ = (entry.map_entry_key_field(), entry.map_entry_value_field());
            }
            let _ = field.containing_oneof().map(|oneof| oneof.fields().count());
            made.set_field(&field, field.default_value());
        }
        let _ = DynamicMessage::decode(message, made.encode_to_vec().as_slice());
        let _ = serde_json::to_string(&made);
    }
    for service in schema.pool().services() {
        assert!(schema.service(service.full_name()).is_ok());
        service.methods().for_each(|method| drop((method.input(), method.output())));
    }
}

#[test]
fn sets_with_a_few_bytes_changed_are_loaded_or_told() {
    let folder = project().join("tests/fuzz/seeds/descriptors");
    let seeds: Vec<Vec<u8>> =
        std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    let mut random = Random(0x05_71_e4);
    let (mut loaded, mut unforeseen) = (0, Vec::new());
    for _ in 0..ROUNDS {
        let mut set = seeds[random.below(seeds.len())].clone();
        for _ in 0..1 + random.below(3) {
            let at = random.below(set.len());
            match random.below(3) {
                0 => set[at] = random.below(256) as u8,
                1 => set[at] ^= 1 << random.below(8),
                _ => set[at] = set[random.below(set.len())],
            }
        }
        match Schema::decode(&set) {
            Ok(schema) => {
                use_it(&schema);
                loaded += 1;
            }
            Err(problem) => {
                let words = problem.words();
                assert!(words.len() < 64 << 10, "{words}");
                if words.contains("the schema cannot be used") {
                    unforeseen.push(words);
                }
            }
        }
    }
    println!("{loaded} of {ROUNDS} are loaded");
    assert!(loaded > ROUNDS / 100, "{loaded}");
    unforeseen.sort();
    unforeseen.dedup();
    assert!(unforeseen.is_empty(), "left to the descriptor crate to find:\n{}", unforeseen.join("\n"));
}
