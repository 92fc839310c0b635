//! What the libraries below us do that we work around: one test each, named
//! for it, that fails when upstream mends it and the workaround can go.

mod descriptors;
mod hyper_h2;
mod others;
mod tonic_codec;
mod tonic_server;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// A library's own server, on a thread of its own until this drops.
struct Served {
    address: String,
    runtime: Option<Runtime>,
}

impl Served {
    /// Serves as `serve` has it, on a port of the system's choosing. There is
    /// one worker, so what the server does in one go is not torn apart.
    fn start<F>(serve: impl FnOnce(TcpListener) -> F + Send + 'static) -> Served
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap().to_string();
        runtime.spawn(async move { serve(TcpListener::from_std(socket).unwrap()).await });
        Served { address, runtime: Some(runtime) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Not waited for: a test may be a task itself.
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}
