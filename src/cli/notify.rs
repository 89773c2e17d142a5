//! What a supervisor is told of our state, when it wants to know: systemd's notification protocol.

use std::ffi::OsStr;
use std::io;
use std::os::unix::net::UnixDatagram;

/// Sends one line of the protocol, like `READY=1`. Without a supervisor, or when it does not listen,
/// nothing happens: a gateway serves all the same.
pub fn supervisor(line: &str) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&socket, line) {
        tracing::warn!(%error, "the supervisor could not be told");
    }
}

fn send(socket: &OsStr, line: &str) -> io::Result<usize> {
    let us = UnixDatagram::unbound()?;
    #[cfg(target_os = "linux")]
    if let [b'@', name @ ..] = std::os::unix::ffi::OsStrExt::as_bytes(socket) {
        use std::os::linux::net::SocketAddrExt as _;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        return us.send_to_addr(line.as_bytes(), &address);
    }
    us.send_to(line.as_bytes(), socket)
}
