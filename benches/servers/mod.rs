//! The servers that are compared, each in a process of its own so that the
//! kernel counts what it costs.

mod proxy;
mod relay;
mod tutorial;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use futures_util::{Stream, stream};
use ostler::host::{BoxError, Build, Mount, Plugin, Registry};
use ostler::proto::routeguide::Point;
use ostler::proto::routeguide::route_guide_server::RouteGuideServer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tutorial::Tutorial;

/// Which one.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// The tutorial's service on tonic's own server, as its examples start it.
    Tonic,
    /// The same on a runtime of one thread.
    TonicOneThread,
    /// The same service as a guest of this host, what a GetFeature takes, and
    /// how many calls the host takes.
    Hosted { waits_ms: u64, works_us: u64, calls: u32 },
    /// This host with its own RouteGuide.
    Ostler,
    /// A relay written by hand, one thread, before another server.
    Relay,
    /// A proxy written with tonic, one thread, before another server.
    Proxy,
    /// This host, before another server.
    Upstream,
    /// This host, before a server that it starts itself on the second core.
    Process,
    /// This host, with rules that answer as its own RouteGuide does.
    Rules,
}

impl Kind {
    /// The guest as it is on tonic's own server.
    pub const HOSTED: Kind = Kind::Hosted { waits_ms: 0, works_us: 0, calls: 4_096 };
}

/// Says to the benchmark's own binary which server it is.
const SERVE: &str = "BENCH_SERVE";

/// What a call of the tutorial's GetFeature takes beyond its look-up.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cost {
    /// Milliseconds of waiting.
    waits_ms: u64,
    /// Microseconds of work.
    works_us: u64,
}

impl Cost {
    async fn pay(self) {
        if self.waits_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.waits_ms)).await;
        }
        let since = std::time::Instant::now();
        while since.elapsed() < Duration::from_micros(self.works_us) {
            std::hint::spin_loop();
        }
    }
}

/// The tutorial's service as a guest.
struct Guest;

impl Plugin for Guest {
    const KIND: &'static str = "tutorial";
    type Config = Cost;

    async fn build(&self, cost: Cost, _: &Build) -> Result<Mount, BoxError> {
        Ok(Mount::compiled(RouteGuideServer::new(Tutorial::new(cost)), ostler::proto::DESCRIPTORS)?)
    }
}

/// Serves, where this process was started to be one of the servers.
pub fn serving() -> Option<ExitCode> {
    match std::env::var(SERVE).as_deref() {
        Ok("tonic") => tutorial::serve(tokio::runtime::Builder::new_multi_thread()),
        Ok("relay") => relay::serve(&std::env::args().nth(1).unwrap_or_default()),
        Ok("proxy") => proxy::serve(&std::env::args().nth(1).unwrap_or_default()),
        Ok("tonic one thread") => tutorial::serve(tokio::runtime::Builder::new_current_thread()),
        Ok(_) => return Some(ostler::host::cli::main(Registry::default().with(Guest))),
        Err(_) => return None,
    }
    Some(ExitCode::SUCCESS)
}

/// A listener's connections as tonic takes them.
fn accepted(listener: TcpListener) -> impl Stream<Item = std::io::Result<TcpStream>> {
    stream::unfold(listener, |listener| async {
        let stream = listener.accept().await.map(|(stream, _)| stream);
        if let Ok(stream) = &stream {
            let _ = stream.set_nodelay(true);
        }
        Some((stream, listener))
    })
}

/// A running server.
pub struct Server {
    child: Child,
    pub address: String,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts one on these cores, or on all.
    pub fn start(kind: Kind, cores: Option<&str>) -> Server {
        Server::start_before("", kind, cores)
    }

    /// Starts one that sends calls on to the server at this address.
    pub fn start_before(behind: &str, kind: Kind, cores: Option<&str>) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let binary = match kind {
            Kind::Ostler | Kind::Upstream | Kind::Process | Kind::Rules => ostler(),
            _ => std::env::current_exe().expect("the benchmark's own path").display().to_string(),
        };
        let mut command = match cores {
            Some(_) => Command::new("taskset"),
            None => Command::new(&binary),
        };
        if let Some(cores) = cores {
            command.args(["-c", cores, &binary]);
        }
        let configured = |limits: &str, handler: &str| {
            std::fs::write(folder.path().join("db.json"), database()).expect("written");
            std::fs::write(folder.path().join("schema.binpb"), ostler::proto::DESCRIPTORS).expect("written");
            let schema = if handler.contains("route_guide") || handler.contains("tutorial") {
                ""
            } else {
                "schema: schema.binpb, "
            };
            let service = format!("routeguide.RouteGuide: {{ {schema}handler: {handler} }}");
            let yaml = format!("listen: 127.0.0.1:0\nlimits: {limits}\nservices: {{ {service} }}\n");
            let file = folder.path().join("ostler.yaml");
            std::fs::write(&file, yaml).expect("written");
            file
        };
        match kind {
            Kind::Tonic => command.env(SERVE, "tonic"),
            Kind::TonicOneThread => command.env(SERVE, "tonic one thread"),
            Kind::Hosted { waits_ms, works_us, calls } => {
                let handler = format!("{{ tutorial: {{ waits_ms: {waits_ms}, works_us: {works_us} }} }}");
                command.env(SERVE, "host").arg("run").arg(configured(&format!("{{ calls: {calls} }}"), &handler))
            }
            Kind::Relay => command.env(SERVE, "relay").arg(behind),
            Kind::Proxy => command.env(SERVE, "proxy").arg(behind),
            Kind::Upstream => {
                let handler = format!("{{ upstream: {{ to: ['http://{behind}'] }} }}");
                command.arg("run").arg(configured("{}", &handler))
            }
            Kind::Process => {
                let handler = "{ route_guide: { profile: tonic, features: { file: db.json } } }";
                let child = format!(
                    "listen: '${{OSTLER_LISTEN}}'\nservices: {{ routeguide.RouteGuide: {{ handler: {handler} }} }}\n"
                );
                std::fs::write(folder.path().join("child.yaml"), child).expect("written");
                let handler =
                    format!("{{ process: {{ command: [taskset, -c, '1', '{}', run, child.yaml] }} }}", ostler());
                command.arg("run").arg(configured("{}", &handler))
            }
            Kind::Rules => {
                let never = "{ when: request.latitude > 900000000, fail: { code: OUT_OF_RANGE } }";
                let reply = "{ reply: { name: 'A place with a name, 1', location: '=request' } }";
                let handler = format!("{{ rules: {{ GetFeature: [{never}, {reply}] }} }}");
                command.arg("run").arg(configured("{}", &handler))
            }
            Kind::Ostler => {
                let handler = "{ route_guide: { profile: tonic, features: { file: db.json } } }";
                command.arg("run").arg(configured("{}", handler))
            }
        };
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the server starts");
        // A command that it starts may be told of first.
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let address = |line: String| {
            let at = line.find("127.0.0.1:")?;
            line[at..].split(['"', ' ', '\n']).next().map(str::to_owned)
        };
        let address = { lines }.find_map(address).expect("an address");
        Server { child, address, _folder: folder }
    }

    /// What the kernel counts for each thread of the server, in nanoseconds.
    pub fn threads_ns(&self) -> Vec<f64> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("Linux");
        let ran = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok());
        ran.filter_map(|stat| stat.split(' ').next()?.parse().ok()).collect()
    }

    /// The same for all of it.
    pub fn cpu_ns(&self) -> f64 {
        self.threads_ns().iter().sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary that is measured.
fn ostler() -> String {
    std::env::var("OSTLER").unwrap_or_else(|_| env!("CARGO_BIN_EXE_ostler").to_owned())
}

/// Whether that binary has a kind of handler.
pub fn has(kind: &str) -> bool {
    let told = Command::new(ostler()).args(["kinds", kind]).output().expect("the binary runs");
    told.status.success()
}

fn database() -> String {
    let entry = |feature: ostler::proto::routeguide::Feature| {
        let Point { latitude, longitude } = feature.location.unwrap_or_default();
        format!(r#"{{"name":"{}","location":{{"latitude":{latitude},"longitude":{longitude}}}}}"#, feature.name)
    };
    format!("[{}]", tutorial::features().into_iter().map(entry).collect::<Vec<_>>().join(","))
}
