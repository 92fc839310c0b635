//! Swaps: whole, at once, unnoticed by calls in flight, and only for the good.

mod dynamic;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ostler::proto::routeguide::{Point, RouteNote};
use tokio_util::task::TaskTracker;

use crate::support::client::{Client, channel, note, point, world};
use crate::support::walk::{VERSIONS, health_list, walk};
use crate::support::{Ostler, PATIENCE, Starter, start};

const PLACES: i32 = 50;

/// A generation that can be told from any other: every feature carries its
/// name, and either every place of the route has a feature or none has.
fn generation(name: &str, features: bool, settings: &str) -> String {
    let mut yaml = String::from("services:\n  routeguide.RouteGuide:\n    handler:\n      route_guide:\n");
    yaml.push_str(settings);
    yaml.push_str("        features:\n          inline:\n");
    let base = if features { 0 } else { 1_000 };
    for place in base..base + PLACES {
        yaml.push_str(&format!("            - {{ name: {name}, location: {{ latitude: {place} }} }}\n"));
    }
    yaml
}

/// A small generator with a fixed seed (xorshift), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Calls of all four kinds, over and over, until told to stop.
async fn load(address: String, stop: Arc<AtomicBool>, calls: Arc<AtomicU64>) {
    let mut client = Client::connect(&address).await;
    while !stop.load(Ordering::Relaxed) {
        let features = client.list_features(world()).await.expect("ListFeatures never fails");
        let names: BTreeSet<&str> = features.iter().map(|feature| feature.name.as_str()).collect();
        assert_eq!((names.len(), features.len()), (1, PLACES as usize), "one generation answers a call: {names:?}");

        let route: Vec<Point> = (0..PLACES).map(|place| point(place, 0)).collect();
        let summary = client.record_route(route).await.expect("RecordRoute never fails");
        assert!(
            summary.feature_count == 0 || summary.feature_count == PLACES,
            "a route is counted by one generation: {}",
            summary.feature_count
        );

        client.get_feature(point(0, 0)).await.expect("GetFeature never fails");
        let notes = (0..3).map(|_| note(7, 7, "x")).collect();
        let replies = client.chat(notes).await.expect("RouteChat never fails");
        assert!(!replies.is_empty());
        calls.fetch_add(4, Ordering::Relaxed);
    }
}

fn resident_kib(host: &Ostler) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_random_swaps_under_load_are_whole_and_unnoticed() {
    const SWAPS: u64 = 200;
    let host = start(&generation("g0", true, ""));
    let channel = channel(host.address()).await;
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers = TaskTracker::new();
    let callers: Vec<_> =
        (0..4).map(|_| callers.spawn(load(host.address().to_owned(), stop.clone(), calls.clone()))).collect();

    let mut random = Random(0x05_71_e4);
    let mut good = BTreeSet::from(["", "grpc.health.v1.Health", "routeguide.RouteGuide"].map(str::to_owned));
    good.extend(["v1", "v1alpha"].map(|version| format!("grpc.reflection.{version}.ServerReflection")));
    let mut expected = good.clone();
    let mut settled_kib = 0;
    for swap in 1..=SWAPS {
        let bad = random.below(5) == 0;
        let name = format!("g{swap}");
        let profile = ["python", "cpp", "go", "java", "node", "tonic"][random.below(6) as usize];
        let also = random.below(3);
        let also: Vec<String> = (0..also).map(|number| format!("extra{swap}-{number}")).collect();
        let mut yaml = generation(&name, random.below(2) == 0, &format!("        profile: {profile}\n"));
        yaml.push_str(&format!("health: {{ also: [{}] }}\n", also.join(", ")));
        if bad {
            yaml.push_str("no_such_key: 1\n");
        }
        assert_eq!(host.reload(&yaml), !bad, "swap {swap}");
        if !bad {
            expected = good.clone();
            expected.extend(also);
            let client = &mut Client::connect(host.address()).await;
            let features = client.list_features(world()).await.unwrap();
            assert_eq!(features[0].name, name, "the next call sees the new configuration");
        }
        let version = VERSIONS[(swap % 2) as usize];
        let walked = walk(&channel, version).await;
        let listed: BTreeSet<String> = health_list(&channel).await.statuses.into_keys().collect();
        assert_eq!(listed, expected, "swap {swap}: health's List");
        let services: BTreeSet<String> = expected.iter().filter(|name| name.contains('.')).cloned().collect();
        assert_eq!(walked, services, "swap {swap}: reflection's list");
        if swap == SWAPS / 4 {
            settled_kib = resident_kib(&host);
        }
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("no call failed, none saw two generations");
    }
    assert!(calls.load(Ordering::Relaxed) > SWAPS, "there was a load");
    let grown = resident_kib(&host).saturating_sub(settled_kib);
    assert!(grown < 16 * 1024, "old generations are freed: {grown} KiB more than after the first quarter");
    assert_eq!(host.stop().code(), Some(0));
}

#[tokio::test]
async fn a_call_in_flight_keeps_its_generation_to_the_last_byte() {
    // More than every buffer between handler and client holds.
    let database = |name: &str| {
        let features: Vec<String> = (0..20_000)
            .map(|number| format!(r#"{{"name":"{name} {}","location":{{"latitude":{number}}}}}"#, "x".repeat(100)))
            .collect();
        format!("[{}]", features.join(",\n"))
    };
    let yaml = |file: &str| {
        format!(
            "services: {{ routeguide.RouteGuide: {{ handler: {{ route_guide: {{ features: {{ file: {file} }} }} }} }} }}\n"
        )
    };
    let host = Starter::default()
        .file("old.json", &database("old"))
        .file("new.json", &database("new"))
        .start(&yaml("old.json"));
    let mut client = Client::connect(host.address()).await;
    let mut listing = client.list_features_stream(world()).await.unwrap();
    let (sender, mut chat) = client.route_chat().await.unwrap();
    sender.send(note(1, 1, "before")).await.unwrap();
    let mut names = vec![listing.message().await.unwrap().unwrap().name];
    assert!(host.reload(&yaml("new.json")));
    assert!(Client::connect(host.address()).await.get_feature(point(1, 0)).await.unwrap().name.starts_with("new"));
    while let Some(feature) = listing.message().await.unwrap() {
        names.push(feature.name);
    }
    assert_eq!(names.len(), 20_000);
    assert!(names.iter().all(|name| name.starts_with("old")), "an open stream never sees the new database");
    sender.send(note(1, 1, "after")).await.unwrap();
    assert_eq!(chat.message().await.unwrap().unwrap().message, "before");
}

#[tokio::test]
async fn shared_notes_survive_a_swap_and_go_with_their_service() {
    let shared = |settings: &str| {
        format!(
            "services: {{ routeguide.RouteGuide: {{ handler: {{ route_guide: {{ profile: cpp, {settings} }} }} }} }}\n"
        )
    };
    let messages = |notes: Vec<RouteNote>| notes.into_iter().map(|note| note.message).collect::<Vec<_>>();
    let host = start(&shared(""));
    let mut client = Client::connect(host.address()).await;
    client.chat(vec![note(1, 1, "first")]).await.unwrap();
    assert!(host.reload(&shared("distance: sum")));
    assert_eq!(messages(client.chat(vec![note(1, 1, "second")]).await.unwrap()), ["first"]);
    assert!(host.reload(&shared("chat: { keep: { notes_per_place: 1 } }")));
    assert_eq!(messages(client.chat(vec![note(1, 1, "third")]).await.unwrap()), ["first", "second"]);
    assert_eq!(messages(client.chat(vec![note(1, 1, "fourth")]).await.unwrap()), ["third"], "the new bound holds");
    // A Watch that stays open through it all holds nothing.
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel(host.address()).await);
    let mut watch = health.watch(tonic_health::pb::HealthCheckRequest::default()).await.unwrap().into_inner();
    watch.message().await.unwrap();
    // A retired generation is freed in its own time.
    for attempt in 0.. {
        assert!(host.reload("services: {}\n"));
        assert!(host.reload(&shared("")));
        if messages(client.chat(vec![note(1, 1, "fifth")]).await.unwrap()).is_empty() {
            break;
        }
        assert!(attempt < 100, "the notes go with their service");
    }
}

#[tokio::test]
async fn shared_notes_nobody_can_see_any_more_take_no_places() {
    let profile = |profile: &str| {
        format!(
            "services: {{ routeguide.RouteGuide: {{ handler: {{ route_guide: {{ profile: {profile}, chat: {{ keep: {{ places: 2 }} }} }} }} }} }}\n"
        )
    };
    let host = start(&profile("cpp"));
    let mut client = Client::connect(host.address()).await;
    client.chat(vec![note(1, 1, "a"), note(2, 2, "b")]).await.unwrap();
    assert!(client.chat(vec![note(3, 3, "c")]).await.is_err(), "the board is full");
    assert!(host.reload(&profile("python")));
    let deadline = std::time::Instant::now() + PATIENCE;
    while client.chat(vec![note(3, 3, "c")]).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "the old board went with its configuration");
    }
}

#[tokio::test]
async fn notes_grown_old_give_their_places_back_wherever_they_are() {
    let keep = "chat: { keep: { places: 2, age: 1s } }";
    let host =
        start(&format!("services: {{ routeguide.RouteGuide: {{ handler: {{ route_guide: {{ {keep} }} }} }} }}\n"));
    let mut idle = Client::connect(host.address()).await;
    let (sender, _replies) = idle.route_chat().await.unwrap();
    sender.send(note(1, 1, "a")).await.unwrap();
    sender.send(note(2, 2, "b")).await.unwrap();
    let mut other = Client::connect(host.address()).await;
    let deadline = std::time::Instant::now() + PATIENCE;
    while other.chat(vec![note(3, 3, "c")]).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "an open call that says nothing keeps no old notes");
    }
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_why() {
    let host = start(&generation("good", true, ""));
    let mut client = Client::connect(host.address()).await;
    let mark = host.mark();
    assert!(!host.reload("services:\n  routeguide.RouteGuide:\n    handler: { route_guid: {} }\n"));
    let line = host.wait_for(mark, "there is no kind of handler called `route_guid`");
    let message = line["message"].as_str().unwrap();
    assert!(message.contains("ostler.yaml:4:16") && message.contains("did you mean `route_guide`?"), "{message}");
    assert_eq!(client.list_features(world()).await.unwrap()[0].name, "good");
    assert!(host.reload(&generation("better", true, "")), "and a good one is taken after it");
    assert_eq!(client.list_features(world()).await.unwrap()[0].name, "better");
}

/// The generation's name, as a caller sees it.
async fn serving(host: &Ostler) -> String {
    let mut client = Client::connect(host.address()).await;
    client.list_features(world()).await.unwrap()[0].name.clone()
}

fn reloads(host: &Ostler) -> usize {
    host.log().lines().filter(|line| line.contains("\"reloaded\"")).count()
}

fn refusals(host: &Ostler) -> usize {
    host.log().lines().filter(|line| line.contains("refused")).count()
}

const QUICK: &str = "reload: { settle: 300ms }\n";

fn watched(name: &str) -> String {
    format!("{QUICK}listen: 127.0.0.1:0\n{}", generation(name, true, ""))
}

#[tokio::test]
async fn an_editors_rename_applies_once() {
    let host = start(&watched("old"));
    let mark = host.mark();
    host.write(&watched("new"));
    assert_eq!(host.wait_for(mark, "reloaded")["why"], "changed file");
    assert_eq!(serving(&host).await, "new");
    assert_eq!(reloads(&host), 1);
}

#[tokio::test]
async fn a_file_written_in_pieces_applies_once_and_whole() {
    use std::io::Write as _;
    let host = start(&watched("old"));
    let mark = host.mark();
    let text = watched("new");
    let mut file = std::fs::File::create(host.file()).unwrap();
    for piece in text.as_bytes().chunks(text.len() / 8 + 1) {
        file.write_all(piece).unwrap();
        file.sync_all().unwrap();
        // A slow writer is what this test is about.
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    drop(file);
    host.wait_for(mark, "reloaded");
    assert_eq!(serving(&host).await, "new");
    assert_eq!((reloads(&host), refusals(&host)), (1, 0));
}

#[tokio::test]
async fn a_kubernetes_volume_swap_applies_once() {
    let host = start(&watched("first"));
    let root = host.folder();
    // As the kubelet lays a ConfigMap out: ostler.yaml → ..data/ostler.yaml, ..data → a dated folder.
    let version = |name: &str, yaml: &str| {
        let folder = root.join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("ostler.yaml"), yaml).unwrap();
    };
    version("..one", &watched("one"));
    version("..two", &watched("two"));
    let point_at = |name: &str| {
        let next = root.join("..data_tmp");
        std::os::unix::fs::symlink(name, &next).unwrap();
        std::fs::rename(next, root.join("..data")).unwrap();
    };
    point_at("..one");
    let mark = host.mark();
    let link = root.join("link");
    std::os::unix::fs::symlink("..data/ostler.yaml", &link).unwrap();
    std::fs::rename(link, host.file()).unwrap();
    host.wait_for(mark, "reloaded");
    assert_eq!(serving(&host).await, "one");
    let mark = host.mark();
    point_at("..two");
    std::fs::remove_dir_all(root.join("..one")).unwrap();
    host.wait_for(mark, "reloaded");
    assert_eq!(serving(&host).await, "two");
    assert_eq!((reloads(&host), refusals(&host)), (2, 0));
}

#[tokio::test]
async fn an_emptied_deleted_or_touched_file_is_not_acted_on() {
    let host = start(&watched("old"));
    let settled = || tokio::time::sleep(std::time::Duration::from_millis(1_500));
    std::fs::write(host.file(), "").unwrap();
    settled().await;
    std::fs::write(host.file(), with_comment(&watched("old"), "")).unwrap();
    settled().await;
    assert_eq!((reloads(&host), refusals(&host)), (0, 0), "emptied, then as it was: nothing happened");
    std::fs::remove_file(host.file()).unwrap();
    let mark = host.mark();
    host.wait_for(mark, "refused");
    assert_eq!(serving(&host).await, "old", "a deleted file changes nothing");
    let mark = host.mark();
    std::fs::write(host.file(), watched("new")).unwrap();
    host.wait_for(mark, "reloaded");
    assert_eq!(serving(&host).await, "new");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_keeps_the_old_until_it_can() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |host: &Ostler, mode: u32| {
        std::fs::set_permissions(host.file(), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let host = start(&watched("old"));
    let mark = host.mark();
    mode(&host, 0o000);
    // To root no file is unreadable, and then nothing has changed.
    if std::fs::read(host.file()).is_err() {
        host.wait_for(mark, "refused");
    }
    assert_eq!(serving(&host).await, "old");
    // A folder is unreadable to everybody.
    mode(&host, 0o644);
    let mark = host.mark();
    std::fs::remove_file(host.file()).unwrap();
    std::fs::create_dir(host.file()).unwrap();
    host.wait_for(mark, "refused");
    assert_eq!(serving(&host).await, "old");
    let mark = host.mark();
    std::fs::remove_dir(host.file()).unwrap();
    std::fs::write(host.file(), watched("new")).unwrap();
    host.wait_for(mark, "reloaded");
    assert_eq!(serving(&host).await, "new");
}

fn with_comment(yaml: &str, comment: &str) -> String {
    format!("{yaml}{comment}")
}

#[tokio::test]
async fn a_changed_feature_file_is_a_change_and_a_bad_one_is_told_with_its_line() {
    let yaml = format!(
        "{QUICK}services: {{ routeguide.RouteGuide: {{ handler: {{ route_guide: {{ features: {{ file: db.json }} }} }} }} }}\n"
    );
    let database = |name: &str| format!(r#"[{{"name":"{name}","location":{{"latitude":1}}}}]"#);
    let host = Starter::default().file("db.json", &database("old")).start(&yaml);
    let file = host.folder().join("db.json");
    let mark = host.mark();
    std::fs::write(&file, database("new")).unwrap();
    host.wait_for(mark, "reloaded");
    assert_eq!(serving(&host).await, "new");
    let mark = host.mark();
    std::fs::write(&file, "[\n {\"name\":\"x\"}\n]").unwrap();
    let line = host.wait_for(mark, "entry 0")["message"].as_str().unwrap().to_owned();
    assert!(line.contains("db.json:2:") && line.contains("missing field `location`"), "{line}");
    assert_eq!(serving(&host).await, "new");
    let mark = host.mark();
    std::fs::write(&file, database("mended")).unwrap();
    host.wait_for(mark, "reloaded");
    assert_eq!(serving(&host).await, "mended", "mending the file that was at fault is noticed");
}

#[tokio::test]
async fn a_hundred_edits_a_second_end_in_the_last_one() {
    let host = start(&watched("old"));
    let mark = host.mark();
    for edit in 0..100 {
        host.write(&watched(&format!("edit{edit}")));
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    host.write(&watched("last"));
    let mut from = mark;
    while serving(&host).await != "last" {
        from = host.wait_for_line(from, "reloaded") + 1;
    }
    assert_eq!(refusals(&host), 0);
}
