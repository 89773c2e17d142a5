//! HTTP/1.1 as the load generator speaks it: one request at a time over one connection that is kept,
//! answers with a Content-Length. Less work per request than a general client, so that the
//! generator is not what is measured.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HEADERS_MAX: usize = 32;

/// A connection and what was read from it.
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
    filled: usize,
}

/// An answer, where it was read.
#[derive(Debug)]
pub struct Answer<'a> {
    pub status: u16,
    /// Status line and headers.
    pub head: &'a [u8],
    pub body: &'a [u8],
}

struct Head {
    status: u16,
    bytes: usize,
    body: usize,
}

impl Connection {
    /// Connects; small writes leave at once.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: vec![0; 16 * 1024], filled: 0 })
    }

    /// The server has ended the connection, as it may while there is nothing to answer.
    pub fn is_closed(&self) -> bool {
        !matches!(self.stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a request and reads its answer. After an error the connection is of no more use.
    ///
    /// # Errors
    /// When the connection breaks or what comes is no answer with a Content-Length.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.filled = 0;
        let head = loop {
            self.fill().await?;
            if let Some(head) = head(self.read.get(..self.filled).unwrap_or_default())? {
                break head;
            }
        };
        while self.filled < head.bytes + head.body {
            self.fill().await?;
        }
        let (start, rest) = self.read.split_at(head.bytes);
        Ok(Answer { status: head.status, head: start, body: rest.get(..head.body).unwrap_or_default() })
    }

    async fn fill(&mut self) -> io::Result<()> {
        if self.filled == self.read.len() {
            self.read.resize(self.read.len() * 2, 0);
        }
        let free = self.read.get_mut(self.filled..).unwrap_or_default();
        match self.stream.read(free).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => {
                self.filled += bytes;
                Ok(())
            }
        }
    }
}

/// The head of an answer, once it is there in full.
fn head(read: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let bytes = match response.parse(read).map_err(io::Error::other)? {
        httparse::Status::Complete(bytes) => bytes,
        httparse::Status::Partial => return Ok(None),
    };
    let length = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|h| str::from_utf8(h.value).ok()?.parse().ok());
    let body = length.ok_or_else(|| io::Error::other("an answer without a Content-Length"))?;
    Ok(Some(Head { status: response.code.unwrap_or_default(), bytes, body }))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_answer_may_come_in_pieces() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4];
            stream.read_exact(&mut request).await.unwrap();
            for piece in ["HTTP/1.1 200 OK\r\nconte", "nt-length: 6\r\n\r\nabc", "def"] {
                stream.write_all(piece.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
            stream
        };
        let client = async {
            let mut connection = Connection::open(address).await.unwrap();
            let answer = connection.ask(b"GET ").await.unwrap();
            assert_eq!((answer.status, answer.body), (200, &b"abcdef"[..]));
            assert!(answer.head.ends_with(b"6\r\n\r\n"));
        };
        tokio::join!(server, client);
    }
}
