//! A TCP proxy that cuts connections when told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Forwards to one server. Dropping it cuts everything and closes the port.
pub struct ChaosProxy {
    pub port: u16,
    /// Counts the cuts; a connection lives while the number stays.
    cuts: watch::Sender<usize>,
    refusing: Arc<std::sync::atomic::AtomicBool>,
    accepted: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl ChaosProxy {
    pub async fn to(server: String) -> std::io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let port = listener.local_addr()?.port();
        let (cuts, watch) = watch::channel(0);
        let refusing = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let accepted = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, watch, refusing.clone(), accepted.clone()));
        Ok(Self { port, cuts, refusing, accepted, _tasks: tasks })
    }

    /// Cuts every connection there is; new ones are let through.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// While true, connections are closed as soon as they are made.
    pub fn refuse(&self, refuse: bool) {
        self.refusing.store(refuse, Ordering::SeqCst);
    }

    /// Connections made so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

async fn accept(
    listener: TcpListener,
    server: String,
    cuts: watch::Receiver<usize>,
    refusing: Arc<std::sync::atomic::AtomicBool>,
    accepted: Arc<AtomicUsize>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        accepted.fetch_add(1, Ordering::SeqCst);
        if !refusing.load(Ordering::SeqCst) {
            connections.spawn(forward(client, server.clone(), cuts.clone()));
        }
    }
}

async fn forward(mut client: TcpStream, server: String, mut cuts: watch::Receiver<usize>) {
    cuts.mark_unchanged();
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        // both ends are dropped, which closes them
        _ = cuts.changed() => {}
    }
}
