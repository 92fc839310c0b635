//! Services that come, change and go while they are called.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use super::{Random, resident_kib};
use crate::support::Starter;
use crate::support::client::channel;
use crate::support::walk::{VERSIONS, walk};

#[derive(Clone, PartialEq, prost::Message)]
struct Note {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(int32, tag = "2")]
    number: i32,
}

const SERVICES: usize = 5;
const METHODS: [&str; 3] = ["One", "Many", "Extra"];

/// A schema of its own for each service, with or without its last method.
fn schema(service: usize, extra: bool) -> String {
    let extra = if extra { "  rpc Extra(Note) returns (Note);\n" } else { "" };
    format!(
        "syntax = \"proto3\";\npackage d{service};\n// {}\nservice Play {{\n  rpc One(Note) returns (Note);\n  \
         rpc Many(Note) returns (stream Note);\n{extra}}}\nmessage Note {{ string text = 1; int32 number = 2; }}\n",
        "words ".repeat(200)
    )
}

/// Calls every method of every service over and over, there or not.
async fn load(address: String, stop: Arc<AtomicBool>, answered: Arc<AtomicU64>, absent: Arc<AtomicU64>) {
    let mut grpc = Grpc::new(channel(&address).await);
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let service = number % SERVICES;
        let method = METHODS[(number / SERVICES) % METHODS.len()];
        let path: PathAndQuery = format!("/d{service}.Play/{method}").parse().unwrap();
        let note = Note { text: "x".to_owned(), number: 1 };
        grpc.ready().await.expect("the connection lives");
        let codec = ProstCodec::<Note, Note>::default();
        let ended = if method == "Many" {
            match grpc.server_streaming(Request::new(note), path, codec).await {
                Ok(answers) => {
                    let mut answers = answers.into_inner();
                    let mut texts = Vec::new();
                    loop {
                        match answers.message().await {
                            Ok(Some(note)) => texts.push(note.text),
                            Ok(None) => break,
                            Err(status) => panic!("a stream that began ends well: {status}"),
                        }
                    }
                    texts.dedup();
                    assert_eq!(texts.len(), 1, "one generation answers a call: {texts:?}");
                    Ok(())
                }
                Err(status) => Err(status),
            }
        } else {
            grpc.unary(Request::new(note), path, codec).await.map(|_| ())
        };
        match ended {
            Ok(()) => answered.fetch_add(1, Ordering::Relaxed),
            Err(status) if status.code() == Code::Unimplemented => absent.fetch_add(1, Ordering::Relaxed),
            Err(status) => panic!("{method} of d{service}: {status}"),
        };
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_swaps_add_change_and_remove_services_and_calls_are_ok_or_unimplemented() {
    const SWAPS: usize = 500;
    let mut starter = Starter::default();
    for service in 0..SERVICES {
        for extra in [false, true] {
            starter = starter.file(&format!("d{service}-{extra}.proto"), &schema(service, extra));
        }
    }
    let host = starter.start("reload: { watch: false }\nservices: {}\n");
    let channel = channel(host.address()).await;
    let (stop, answered, absent) = (Arc::new(AtomicBool::new(false)), Arc::default(), Arc::default());
    let callers: Vec<_> = (0..2)
        .map(|_| {
            tokio::spawn(load(host.address().to_owned(), stop.clone(), Arc::clone(&answered), Arc::clone(&absent)))
        })
        .collect();
    let mut random = Random(0xd1_4a_31);
    let mut settled_kib = 0;
    for swap in 1..=SWAPS {
        let mut yaml = "reload: { watch: false }\nservices:\n".to_owned();
        let mut expected = vec!["grpc.health.v1.Health".to_owned()];
        expected.extend(["v1", "v1alpha"].map(|version| format!("grpc.reflection.{version}.ServerReflection")));
        for service in 0..SERVICES {
            if random.below(3) == 0 {
                continue;
            }
            let extra = random.below(2) == 0;
            expected.push(format!("d{service}.Play"));
            yaml.push_str(&format!(
                "  d{service}.Play:\n    schema: d{service}-{extra}.proto\n    handler:\n      rules:\n"
            ));
            yaml.push_str(&format!(
                "        One: [ {{ reply: {{ text: 'swap {swap}', number: '=request.number + 1' }} }} ]\n"
            ));
            yaml.push_str(&format!(
                "        Many: [ {{ reply: {{ text: 'swap {swap}' }}, repeat: {{ times: 20 }} }} ]\n"
            ));
            if extra {
                yaml.push_str("        Extra: [ { reply: '=request' } ]\n");
            }
        }
        if expected.len() == 3 {
            yaml = "reload: { watch: false }\nservices: {}\n".to_owned();
        }
        assert!(host.reload(&yaml), "swap {swap}");
        if swap % 10 == 0 {
            let walked = walk(&channel, VERSIONS[swap / 10 % 2]).await;
            assert_eq!(walked, expected.into_iter().collect(), "swap {swap}: reflection's list");
        }
        if swap == SWAPS / 4 {
            settled_kib = resident_kib(&host);
        }
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("calls are answered, or UNIMPLEMENTED");
    }
    let (answered, absent) = (answered.load(Ordering::Relaxed), absent.load(Ordering::Relaxed));
    assert!(answered > 500 && absent > 100, "{answered} answered, {absent} absent");
    let (now_kib, drift) = (resident_kib(&host), settled_kib / 20);
    eprintln!(
        "{answered} calls answered, {absent} UNIMPLEMENTED; {settled_kib} KiB after a quarter, {now_kib} after all"
    );
    // A page here or there is the allocator's; five in a hundred is the bar.
    assert!(now_kib <= settled_kib + drift, "{settled_kib} KiB after a quarter, {now_kib} KiB after all");
    assert_eq!(host.stop().code(), Some(0));
}
