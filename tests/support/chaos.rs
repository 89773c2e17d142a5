//! A TCP proxy that cuts connections when told to, also between a request and its answer, and that
//! can stop to pass anything on without closing anything.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Forwards to one server. Dropping it cuts everything and closes the port.
pub struct ChaosProxy {
    pub port: u16,
    /// Counts the cuts; a connection lives while the number stays.
    cuts: watch::Sender<usize>,
    hanging: watch::Sender<bool>,
    orders: Arc<Orders>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Orders {
    refusing: AtomicBool,
    accepted: AtomicUsize,
    swallowing: Mutex<Option<&'static [u8]>>,
}

impl ChaosProxy {
    pub async fn to(server: String) -> std::io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let port = listener.local_addr()?.port();
        let ((cuts, cut), (hanging, hangs)) = (watch::channel(0), watch::channel(false));
        let orders = Arc::<Orders>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, cut, hangs, orders.clone()));
        Ok(Self { port, cuts, hanging, orders, _tasks: tasks })
    }

    /// Cuts every connection there is; new ones are let through.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// While true, connections are closed as soon as they are made.
    pub fn refuse(&self, refuse: bool) {
        self.orders.refusing.store(refuse, Ordering::SeqCst);
    }

    /// While true, nothing passes in either direction, and nothing is closed. What was said meanwhile
    /// arrives afterwards.
    pub fn hang(&self, hang: bool) {
        self.hanging.send_replace(hang);
    }

    /// Connections made so far.
    pub fn accepted(&self) -> usize {
        self.orders.accepted.load(Ordering::SeqCst)
    }

    /// The next request that holds `text` reaches the server; instead of its answer the client
    /// sees the connection cut.
    pub fn swallow_the_answer_to(&self, text: &'static [u8]) {
        if let Ok(mut swallowing) = self.orders.swallowing.lock() {
            *swallowing = Some(text);
        }
    }

    /// The answer has been swallowed.
    pub fn has_swallowed(&self) -> bool {
        self.orders.swallowing.lock().is_ok_and(|swallowing| swallowing.is_none())
    }
}

async fn accept(
    listener: TcpListener,
    server: String,
    cuts: watch::Receiver<usize>,
    hangs: watch::Receiver<bool>,
    orders: Arc<Orders>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        orders.accepted.fetch_add(1, Ordering::SeqCst);
        if !orders.refusing.load(Ordering::SeqCst) {
            let (server, mut cuts, hangs, orders) = (server.clone(), cuts.clone(), hangs.clone(), orders.clone());
            connections.spawn(async move {
                cuts.mark_unchanged();
                tokio::select! {
                    _ = forward(client, server, hangs, &orders) => {}
                    // both ends are dropped, which closes them
                    _ = cuts.changed() => {}
                }
            });
        }
    }
}

async fn forward(
    mut client: TcpStream,
    server: String,
    mut hangs: watch::Receiver<bool>,
    orders: &Orders,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        if hangs.wait_for(|hangs| !hangs).await.is_err() {
            return Ok(());
        }
        tokio::select! {
            // reading is cancelled before it took anything
            _ = hangs.changed() => {}
            read = client.read(&mut asked) => {
                let request = asked.get(..read?).unwrap_or_default();
                if request.is_empty() {
                    return Ok(());
                }
                server.write_all(request).await?;
                if orders.swallows(request) {
                    server.readable().await?; // it is done there
                    return Ok(());
                }
            }
            read = server.read(&mut answered) => {
                let answer = answered.get(..read?).unwrap_or_default();
                if answer.is_empty() {
                    return Ok(());
                }
                client.write_all(answer).await?;
            }
        }
    }
}

impl Orders {
    fn swallows(&self, request: &[u8]) -> bool {
        let Ok(mut swallowing) = self.swallowing.lock() else { return false };
        let found = swallowing.is_some_and(|text| request.windows(text.len()).any(|part| part == text));
        if found {
            *swallowing = None;
        }
        found
    }
}
