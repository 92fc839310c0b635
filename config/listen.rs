//! `listen:`: where the host is to be reached.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::problem::{Problem, Problems};
use super::section::Section;
use super::values::Tree;

/// A socket to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A Unix socket's path.
    Unix(PathBuf),
    /// Sockets that the service manager opened and passed on: those of a name, or all.
    Systemd(Option<String>),
}

impl Address {
    /// Whether only this machine can reach it.
    fn is_local(&self) -> bool {
        match self {
            Address::Tcp(address) => address.ip().is_loopback(),
            // Where an inherited socket is bound is known when it is there.
            Address::Unix(_) | Address::Systemd(_) => true,
        }
    }

    /// Whether two addresses may be one socket. Port 0 is a new port each time.
    fn meets(&self, other: &Address) -> bool {
        match (self, other) {
            (Address::Tcp(address), _) if address.port() == 0 => false,
            (Address::Systemd(one), Address::Systemd(other)) => one.is_none() || other.is_none() || one == other,
            _ => self == other,
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("`unix:` names no path\nwrite `unix:/run/ostler.sock`".to_owned()),
                path => Ok(Address::Unix(path.into())),
            };
        }
        if text == "systemd" {
            return Ok(Address::Systemd(None));
        }
        if let Some(name) = text.strip_prefix("systemd:") {
            return match name {
                "" => Err("`systemd:` names no socket\nwrite `systemd:NAME`, or `systemd` for all".to_owned()),
                name => Ok(Address::Systemd(Some(name.to_owned()))),
            };
        }
        let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        numeric.as_deref().unwrap_or(text).parse().map(Address::Tcp).map_err(|_| {
            format!(
                "`{text}` is not an address\n\
                 write an IP address and a port, such as `127.0.0.1:50051` or `[::1]:50051`, \
                 or `unix:/run/ostler.sock`, or `systemd`"
            )
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Systemd(None) => f.write_str("systemd"),
            Address::Systemd(Some(name)) => write!(f, "systemd:{name}"),
        }
    }
}

/// One address with what holds there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: Address,
    /// Whether it is not encrypted, `tls` or not, and whoever can reach it.
    pub plaintext: bool,
    /// What is to be had there.
    pub serves: Serves,
}

/// What is to be had at an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Serves {
    /// Every service.
    #[default]
    All,
    /// Health alone, for probes that speak no TLS.
    Health,
}

/// Every address, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen(pub Vec<Listener>);

impl Default for Listen {
    fn default() -> Self {
        Listen(vec![Listener {
            address: Address::Tcp(([127, 0, 0, 1], 50051).into()),
            plaintext: false,
            serves: Serves::All,
        }])
    }
}

impl Listen {
    /// The listener at an address, of several the one of that number: port 0
    /// may be listed more than once.
    pub fn find(&self, address: &Address, number: usize) -> Option<&Listener> {
        self.0.iter().filter(|listener| listener.address == *address).nth(number)
    }

    /// Each listener with its number among those of its address.
    pub fn numbered(&self) -> impl Iterator<Item = (&Listener, usize)> {
        self.0.iter().enumerate().map(|(at, listener)| {
            (listener, self.0[..at].iter().filter(|earlier| earlier.address == listener.address).count())
        })
    }
}

impl Listener {
    /// Whether connections to it, bound there, are encrypted where there is
    /// `tls`. A Unix socket's peers are of this machine, and need none.
    pub fn is_encrypted(&self, bound: &Address) -> bool {
        !self.plaintext && matches!(bound, Address::Tcp(_))
    }

    /// What is wrong with being bound there where nothing encrypts, if anything is.
    pub(crate) fn exposed(&self, bound: &Address) -> Option<Problem> {
        if bound.is_local() || self.plaintext {
            return None;
        }
        let serves = if self.serves == Serves::Health { ", serves: health" } else { "" };
        let problem = Problem::new(format!("`{bound}` can be reached from other machines and is not encrypted"))
            .help("encrypt it: `tls: { certificate: server.pem, key: server.key }`")
            .help(format!("if that is meant, write `{{ address: \"{}\", plaintext: true{serves} }}`", self.address));
        Some(problem)
    }
}

/// Finds fault with every address that others can reach, where nothing encrypts
/// it and the operator has not said that this is meant. What else is wrong with
/// the file makes no difference to that.
pub(super) fn exposed(root: &Section, problems: &mut Problems) {
    // What is said of it and does not fit is told by whoever reads it.
    if root.part("tls").is_some_and(|tls| !matches!(tls.tree, Tree::Scalar(Value::Null))) {
        return;
    }
    let Some(listen) = root.part("listen") else { return };
    let items = (0..).map_while(|at| listen.part(at)).collect::<Vec<_>>();
    let listeners = if items.is_empty() { vec![listen] } else { items };
    for section in listeners {
        let Ok(listener) = section.read::<Listener>() else { continue };
        if let Some(problem) = listener.exposed(&listener.address) {
            problems.push(section.problem(problem));
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spelled {
    address: String,
    #[serde(default)]
    plaintext: bool,
    #[serde(default)]
    serves: Serves,
}

struct OneListener;

impl<'de> de::Visitor<'de> for OneListener {
    type Value = Listener;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address, or a map of `address`, `plaintext` and `serves`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Listener, E> {
        let address = text.parse().map_err(E::custom)?;
        Ok(Listener { address, plaintext: false, serves: Serves::All })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Listener, A::Error> {
        let Spelled { address, plaintext, serves } = Spelled::deserialize(de::value::MapAccessDeserializer::new(map))?;
        let address = address.parse().map_err(de::Error::custom)?;
        Ok(Listener { address, plaintext, serves })
    }
}

impl<'de> Deserialize<'de> for Listener {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OneListener)
    }
}

/// The next of a list, at an address of its own.
struct After<'a>(&'a [Listener]);

impl<'de> de::DeserializeSeed<'de> for After<'_> {
    type Value = Listener;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Listener, D::Error> {
        let listener = Listener::deserialize(from)?;
        match self.0.iter().find(|earlier| listener.address.meets(&earlier.address)) {
            None => Ok(listener),
            Some(same) if same.address == listener.address => {
                Err(de::Error::custom(format_args!("`{}` is listed twice", listener.address)))
            }
            Some(part) => Err(de::Error::custom(format_args!(
                "`{}` and `{}` are listed, and may be one socket\nwrite `systemd` alone, or each socket by its name",
                part.address, listener.address
            ))),
        }
    }
}

struct OneOrMore;

impl<'de> de::Visitor<'de> for OneOrMore {
    type Value = Listen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address or a list of addresses")
    }

    fn visit_u64<E: de::Error>(self, port: u64) -> Result<Listen, E> {
        Err(E::custom(format_args!("`{port}` is a port without an address\nwrite `127.0.0.1:{port}`")))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Listen, E> {
        Ok(Listen(vec![OneListener.visit_str(text)?]))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Listen, A::Error> {
        Ok(Listen(vec![OneListener.visit_map(map)?]))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Listen, A::Error> {
        let mut listeners = Vec::new();
        while let Some(listener) = items.next_element_seed(After(&listeners))? {
            listeners.push(listener);
        }
        if listeners.is_empty() {
            return Err(de::Error::custom("`listen` names no address\nwithout `listen` it is 127.0.0.1:50051"));
        }
        Ok(Listen(listeners))
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OneOrMore)
    }
}

impl Serialize for Listen {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(|Listener { address, plaintext, serves }| Shown {
            address: address.to_string(),
            plaintext: *plaintext,
            serves: Some(*serves).filter(|serves| *serves != Serves::All),
        }))
    }
}

#[derive(Serialize)]
struct Shown {
    address: String,
    plaintext: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    serves: Option<Serves>,
}

impl JsonSchema for Listen {
    fn schema_name() -> Cow<'static, str> {
        "Listen".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let address = serde_json::json!({
            "type": "string", "pattern": r"^((localhost|[0-9.]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}|unix:.+|systemd(:.+)?)$",
            "description": "127.0.0.1:50051, [::1]:50051, unix:/run/ostler.sock or systemd",
        });
        let one = serde_json::json!({ "anyOf": [
            address,
            { "type": "object", "additionalProperties": false, "required": ["address"], "properties": {
                "address": address,
                "plaintext": { "type": "boolean", "default": false,
                    "description": "Do not encrypt, `tls` or not, and whoever can reach the address." },
                "serves": { "enum": ["all", "health"], "default": "all",
                    "description": "What is to be had there: every service, or health alone." },
            } },
        ] });
        json_schema!({ "anyOf": [one, { "type": "array", "minItems": 1, "items": one }] })
    }
}
