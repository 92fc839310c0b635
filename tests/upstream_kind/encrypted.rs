//! Servers that are spoken to in TLS.

use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

use super::{LONDON, SERVICE, starter, wait_for_health, yaml};
use crate::support::Ostler;
use crate::support::authority::{Authority, HOST};
use crate::support::client::{Client, point};
use crate::tls;

/// A front whose server is at an `https` address, with these further TLS
/// settings and the files they name.
fn front(behind: &Ostler, authority: &Authority, identity: &Authority, more: &str) -> Ostler {
    let pair = identity.pair("front", 9);
    let settings = format!("tls: {{ ca: ca.pem, name: {HOST}{more} }}");
    starter()
        .file("ca.pem", &authority.pem())
        .file("front.pem", &pair.certificate)
        .file("front.key", &pair.key)
        .start(&yaml(&[&format!("https://{}", behind.address())], &settings))
}

const SHOWN: &str = ", certificate: front.pem, key: front.key";

#[tokio::test]
async fn a_server_is_known_by_its_authority_and_shown_a_certificate() {
    let authority = Authority::new("one");
    for (settings, shown) in [(tls::TLS, ""), (tls::MUTUAL, SHOWN)] {
        let behind = tls::host(&authority, settings);
        let front = front(&behind, &authority, &authority, shown);
        wait_for_health(&front, ServingStatus::Serving).await;
        let mut client = Client::connect(front.address()).await;
        assert_eq!(client.get_feature(point(LONDON.0, LONDON.1)).await.unwrap().name, "London, GB");
    }
}

#[tokio::test]
async fn a_server_that_is_not_to_be_trusted_gets_no_call() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    let behind = tls::host(&one, tls::MUTUAL);
    for (trusted, identity, why) in
        [(&two, &one, "its certificate is not one to be trusted"), (&one, &two, "TLS could not be agreed on")]
    {
        let front = front(&behind, trusted, identity, SHOWN);
        let mut client = Client::connect(front.address()).await;
        wait_for_health(&front, ServingStatus::NotServing).await;
        let status = client.get_feature(point(0, 0)).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, &*format!("the server of {SERVICE} is down"))
        );
        front.wait_for(0, "a server cannot be reached");
        assert!(front.log().contains(why), "{}", front.log());
    }
}
