//! The libraries beside the wire: TLS, and what settings are read with.

use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use tokio_rustls::TlsAcceptor;

use super::Served;
use crate::support::authority::{Authority, HOST};

/// Hence host/listen/tls.rs turns away who offers no HTTP/2.
#[tokio::test]
async fn rustls_goes_on_with_a_client_that_offers_no_protocol() {
    let authority = Authority::new("one");
    let pair = authority.pair(HOST, 1);
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(vec![pair.der()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = Served::start(async move |listener| {
        let (stream, _) = listener.accept().await.unwrap();
        let _shaken = acceptor.accept(stream).await;
        std::future::pending().await
    });
    let shaken = authority.shake(&server.address, &[]).await;
    assert!(shaken.is_ok(), "rustls insists on a protocol: the workaround can go");
}

/// Hence config/typed.rs types settings itself.
#[test]
fn serde_json_reads_a_list_where_a_struct_is_due() {
    #[derive(Debug, serde::Deserialize, PartialEq)]
    struct Limits {
        calls: u32,
        age: u32,
    }
    let limits: Limits =
        serde_json::from_value(json!([1, 2])).expect("serde_json insists on a map: the workaround can go");
    assert_eq!(limits, Limits { calls: 1, age: 2 });
}

/// Hence config/scalar.rs asks Rust where YAML's crate has no answer.
#[test]
fn yaml_serde_has_no_answer_for_a_number_beyond_64_bits() {
    let read = serde_yaml::from_str::<serde_json::Value>("184467440737095516160");
    assert!(read.is_err(), "yaml_serde reads it as {read:?}: the workaround can go");
}
