//! The four RPCs, row by row of where the reference servers differ.

use ostler::proto::routeguide::{Feature, Rectangle, RouteNote};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::client::{Client, note, point, world};
use crate::support::{Ostler, start};

/// A small database with everything the profiles differ in: an unnamed
/// feature, and a point with two features of which the first has no name.
const FEATURES: &str = r#"
        features:
          inline:
            - { name: Here, location: { latitude: 10000000, longitude: 10000000 } }
            - { name: "", location: { latitude: 20000000, longitude: 20000000 } }
            - { name: "", location: { latitude: 30000000, longitude: 30000000 } }
            - { name: There, location: { latitude: 30000000, longitude: 30000000 } }
"#;

fn yaml(settings: &str) -> String {
    format!("services:\n  routeguide.RouteGuide:\n    handler:\n      route_guide:\n{settings}{FEATURES}")
}

/// The same database behind the built-in handler, and behind one written in
/// rules alone, which answers as the `python` profile does.
fn pythons() -> [Ostler; 2] {
    let file = format!("{}/config/features.json", crate::support::project().display());
    let from_file = format!("features: {{ file: {file}, of: routeguide.Feature }}\n");
    let inline =
        FEATURES.trim_start().replace("\n", "\n  ").replace("inline", "of: routeguide.Feature\n            inline");
    let rules = crate::examples::yaml("route_guide").replace(&from_file, &(inline + "\n"));
    assert!(rules.contains("There"), "the small database is in it");
    [start(&yaml("")), start(&rules)]
}

const DEGREE: i32 = 10_000_000;

async fn names(client: &mut Client, rectangle: Rectangle) -> Vec<String> {
    client.list_features(rectangle).await.unwrap().into_iter().map(|feature| feature.name).collect()
}

fn messages(notes: Vec<RouteNote>) -> Vec<String> {
    notes.into_iter().map(|note| note.message).collect()
}

/// What the table says of each profile over the small database.
struct Expected {
    profile: &'static str,
    echoes: bool,
    listed: &'static [&'static str],
    counted: i32,
    four_points: i32,
    first_chat: &'static [&'static str],
    second_chat: &'static [&'static str],
}

const ALL: &[&str] = &["Here", "", "", "There"];
const NAMED: &[&str] = &["Here", "There"];
const TABLE: [Expected; 6] = [
    Expected {
        profile: "python",
        echoes: true,
        listed: ALL,
        counted: 3,
        four_points: 471_508,
        first_chat: &["a"],
        second_chat: &[],
    },
    Expected {
        profile: "cpp",
        echoes: true,
        listed: ALL,
        counted: 1,
        four_points: 471_508,
        first_chat: &["a"],
        second_chat: &["a", "b"],
    },
    Expected {
        profile: "go",
        echoes: true,
        listed: ALL,
        counted: 4,
        four_points: 471_507,
        first_chat: &["a", "a", "b"],
        second_chat: &["a", "b", "c"],
    },
    Expected {
        profile: "java",
        echoes: true,
        listed: NAMED,
        counted: 1,
        four_points: 471_507,
        first_chat: &["a"],
        second_chat: &["a", "b"],
    },
    Expected {
        profile: "node",
        echoes: true,
        listed: NAMED,
        counted: 1,
        four_points: 471_508,
        first_chat: &["a"],
        second_chat: &["a", "b"],
    },
    Expected {
        profile: "tonic",
        echoes: false,
        listed: ALL,
        counted: 4,
        four_points: 471_507,
        first_chat: &["a", "a", "b"],
        second_chat: &["c"],
    },
];

#[tokio::test]
async fn every_profile_answers_as_its_column_of_the_table() {
    let profiles = TABLE.map(|expected| (start(&yaml(&format!("        profile: {}\n", expected.profile))), expected));
    let [_, rules] = pythons();
    let [python, ..] = TABLE;
    for (host, expected) in profiles.into_iter().chain([(rules, Expected { profile: "rules", ..python })]) {
        let profile = expected.profile;
        let mut client = Client::connect(host.address()).await;

        let known = client.get_feature(point(DEGREE, DEGREE)).await.unwrap();
        assert_eq!(known, Feature { name: "Here".to_owned(), location: Some(point(DEGREE, DEGREE)) }, "{profile}");
        let unknown = client.get_feature(point(7, -7)).await.unwrap();
        let location = expected.echoes.then(|| point(7, -7));
        assert_eq!(unknown, Feature { name: String::new(), location }, "{profile}: an unknown point");

        assert_eq!(names(&mut client, world()).await, expected.listed, "{profile}: unnamed features");

        let four = (1..=4).map(|degrees| point(degrees * DEGREE, degrees * DEGREE)).collect();
        let summary = client.record_route(four).await.unwrap();
        assert_eq!(summary.point_count, 4, "{profile}");
        assert_eq!(summary.feature_count, expected.counted, "{profile}: what counts as a feature");
        assert_eq!(summary.distance, expected.four_points, "{profile}: how a route is summed");
        assert_eq!(summary.elapsed_time, 0, "{profile}");

        let first = client.chat(vec![note(0, 0, "a"), note(0, 0, "b")]).await.unwrap();
        assert_eq!(messages(first), expected.first_chat, "{profile}: a fresh chat");
        let second = client.chat(vec![note(0, 0, "c")]).await.unwrap();
        assert_eq!(messages(second), expected.second_chat, "{profile}: a later call's chat");
    }
}

#[tokio::test]
async fn each_row_is_a_setting_of_its_own() {
    let rows = "        profile: python\n        unknown_point: unset\n        list_unnamed: false\n        count_unnamed: false\n        duplicates: each\n        distance: per_leg\n        chat: { scope: shared, send_back: true }\n";
    let host = start(&yaml(rows));
    let mut client = Client::connect(host.address()).await;
    assert_eq!(client.get_feature(point(7, 7)).await.unwrap().location, None);
    assert_eq!(names(&mut client, world()).await, NAMED);
    let four = (1..=4).map(|degrees| point(degrees * DEGREE, degrees * DEGREE)).collect();
    let summary = client.record_route(four).await.unwrap();
    assert_eq!((summary.feature_count, summary.distance), (2, 471_507));
    assert_eq!(messages(client.chat(vec![note(0, 0, "a")]).await.unwrap()), ["a"]);
    assert_eq!(messages(client.chat(vec![note(0, 0, "b")]).await.unwrap()), ["a", "b"]);
}

#[tokio::test]
async fn corners_come_in_any_order_and_edges_count() {
    for host in pythons() {
        let mut client = Client::connect(host.address()).await;
        let corners = [(1, 1, 3, 3), (3, 3, 1, 1), (1, 3, 3, 1), (3, 1, 1, 3)];
        for (a, b, c, d) in corners {
            let rectangle =
                Rectangle { lo: Some(point(a * DEGREE, b * DEGREE)), hi: Some(point(c * DEGREE, d * DEGREE)) };
            assert_eq!(names(&mut client, rectangle).await, ALL, "{a} {b} {c} {d}");
        }
        let exactly_here = Rectangle { lo: Some(point(DEGREE, DEGREE)), hi: Some(point(DEGREE, DEGREE)) };
        assert_eq!(names(&mut client, exactly_here).await, ["Here"]);
        assert_eq!(names(&mut client, Rectangle::default()).await, Vec::<String>::new(), "unset corners are (0,0)");
    }
}

#[tokio::test]
async fn routes_of_no_points_one_point_and_a_million() {
    for host in pythons() {
        let mut client = Client::connect(host.address()).await;
        let nothing = client.record_route(Vec::new()).await.unwrap();
        assert_eq!((nothing.point_count, nothing.feature_count, nothing.distance, nothing.elapsed_time), (0, 0, 0, 0));
        let one = client.record_route(vec![point(DEGREE, DEGREE)]).await.unwrap();
        assert_eq!((one.point_count, one.feature_count, one.distance), (1, 1, 0));
        let there_and_back = (0..1_000_000).map(|leg| point(0, if leg % 2 == 0 { 0 } else { 1_800_000_000 })).collect();
        let long = client.record_route(there_and_back).await.unwrap();
        assert_eq!((long.point_count, long.distance), (1_000_000, i32::MAX), "what does not fit is as much as fits");
    }
}

#[tokio::test]
async fn an_unset_point_is_zero_in_every_profile() {
    for profile in ["python", "cpp", "go", "java", "node", "tonic"] {
        let host = start(&yaml(&format!("        profile: {profile}\n")));
        let mut client = Client::connect(host.address()).await;
        let nowhere = RouteNote { location: None, message: "nowhere".to_owned() };
        let replies = client.chat(vec![nowhere, note(0, 0, "zero")]).await.unwrap();
        assert!(messages(replies).contains(&"nowhere".to_owned()), "{profile}");
        assert!(client.list_features(Rectangle::default()).await.is_ok(), "{profile}");
    }
}

#[tokio::test]
async fn strict_coordinates_name_the_field_that_is_off_earth() {
    let host = start(&yaml("        coordinates: strict\n"));
    let mut client = Client::connect(host.address()).await;
    let field = |status: tonic::Status| {
        assert_eq!(status.code(), Code::InvalidArgument);
        status.get_error_details().bad_request().unwrap().field_violations[0].field.clone()
    };
    let off = point(900_000_001, 0);
    assert_eq!(field(client.get_feature(off).await.unwrap_err()), "latitude");
    assert_eq!(field(client.get_feature(point(0, -1_800_000_001)).await.unwrap_err()), "longitude");
    let rectangle = Rectangle { lo: Some(point(0, 0)), hi: Some(off) };
    assert_eq!(field(client.list_features(rectangle).await.unwrap_err()), "hi.latitude");
    assert_eq!(field(client.record_route(vec![point(0, 0), off]).await.unwrap_err()), "latitude");
    assert_eq!(field(client.chat(vec![note(i32::MIN, 0, "x")]).await.unwrap_err()), "location.latitude");
    assert!(client.get_feature(point(900_000_000, -1_800_000_000)).await.is_ok(), "the poles are on earth");
}

#[tokio::test]
async fn lenient_coordinates_take_what_every_reference_server_takes() {
    for host in pythons() {
        let mut client = Client::connect(host.address()).await;
        assert!(client.get_feature(point(i32::MAX, i32::MIN)).await.is_ok());
        let whole = Rectangle { lo: Some(point(i32::MIN, i32::MIN)), hi: Some(point(i32::MAX, i32::MAX)) };
        assert_eq!(names(&mut client, whole).await, ALL);
    }
}

#[tokio::test]
async fn notes_beyond_their_bounds_are_refused() {
    let keep = "        chat: { scope: shared, rate: 5/h, keep: { places: 2, note: 8B } }\n";
    let host = start(&yaml(keep));
    let mut client = Client::connect(host.address()).await;
    let code = |result: Result<Vec<RouteNote>, tonic::Status>| result.unwrap_err().code();
    assert_eq!(code(client.chat(vec![note(0, 0, "123456789")]).await), Code::InvalidArgument);
    client.chat(vec![note(0, 0, "a"), note(0, 1, "b")]).await.unwrap();
    assert_eq!(code(client.chat(vec![note(0, 2, "c")]).await), Code::ResourceExhausted);
    assert_eq!(messages(client.chat(vec![note(0, 1, "d")]).await.unwrap()), ["b"], "known places still take notes");
    let fast = (0..6).map(|_| note(0, 0, "e")).collect();
    let status = client.chat(fast).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let pushback: u64 = status.metadata().get("grpc-retry-pushback-ms").unwrap().to_str().unwrap().parse().unwrap();
    assert!((1..=720_000).contains(&pushback), "{pushback}");
}

#[tokio::test]
async fn a_chat_answers_before_the_next_note_is_sent() {
    let host = start(&yaml("        chat: { send_back: true }\n"));
    let mut client = Client::connect(host.address()).await;
    let (sender, mut replies) = {
        // The first note is what opens the stream on some clients; here the stream opens by itself.
        client.route_chat().await.unwrap()
    };
    for round in 0..20 {
        sender.send(note(round, 0, &round.to_string())).await.unwrap();
        assert_eq!(replies.message().await.unwrap().unwrap().message, round.to_string());
    }
    drop(sender);
    assert_eq!(replies.message().await.unwrap(), None);

    // As the tutorial has it, a note's answers are those before it at its place.
    for host in pythons() {
        let mut client = Client::connect(host.address()).await;
        let (sender, mut replies) = client.route_chat().await.unwrap();
        for round in 0..5 {
            sender.send(note(7, 7, &round.to_string())).await.unwrap();
            for earlier in 0..round {
                assert_eq!(replies.message().await.unwrap().unwrap().message, earlier.to_string());
            }
        }
        drop(sender);
        assert_eq!(replies.message().await.unwrap(), None);
    }
}
