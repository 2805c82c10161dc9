//! A TCP connection that two can look at: the protocol that owns it, and whoever asks whether the peer is still there.
//!
//! A protocol learns of the peer's end when it reads, and it reads only when it wants something. The kernel knows earlier.
//!
//! Also how to listen: where many clients arrive in one moment, each of them has to find room.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Listens with room for [`BACKLOG`] connections that nobody has accepted yet.
///
/// # Errors
/// When the address cannot be bound.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections of a process that has just ended must not keep the next one from the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A TCP connection that two can look at.
#[derive(Clone, Debug)]
pub struct SharedTcp {
    stream: Arc<TcpStream>,
    /// Whether a write failed: from then on reads ask the socket itself, since the runtime may not have heard of what came last.
    is_broken: bool,
    /// Whether that was a reset: then the end of what came is not known to be the end of what was sent.
    is_reset: bool,
}

impl SharedTcp {
    /// Shares the stream.
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream: Arc::new(stream),
            is_broken: false,
            is_reset: false,
        }
    }

    /// Whether an idle connection can still carry a request, as the kernel knows at this moment.
    ///
    /// Anything readable on an idle HTTP/1.1 connection is its end, or the beginning of it: a FIN, a reset, a TLS alert,
    /// or an answer that nobody asked for.
    pub fn is_quiet(&self) -> bool {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        matches!(SockRef::from(&*self.stream).peek(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether a read may find something, as far as the runtime has heard: without a system call, and without waking anybody
    /// later.
    pub fn may_be_readable(&self) -> bool {
        self.stream.try_io(Interest::READABLE, || Ok(())).is_ok()
    }

    /// The next byte, which stays to be read; `None` at the end of the stream.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn first_byte(&self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        let read = self.stream.peek(&mut byte).await?;
        Ok((read > 0).then_some(byte[0]))
    }

    /// Waits until something can be read: bytes, or the end.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read_ready(cx)
    }

    /// When the connection is closed, it is reset, and what the peer has not got by then is lost.
    pub fn reset_at_close(&self) {
        self.stream
            .set_zero_linger()
            .unwrap_or_else(|error| tracing::debug!(%error, "cannot reset the connection"));
    }

    /// A write behind the peer's own end breaks the pipe, and that end was true; any other failure hides how far the peer came.
    fn note(&mut self, written: &io::Result<usize>) {
        if let Err(error) = written {
            self.is_broken = true;
            self.is_reset |= error.kind() != io::ErrorKind::BrokenPipe;
        }
    }

    /// Reads once, into memory that nobody has zeroed.
    ///
    /// A read that leaves room in the buffer has emptied the socket, and what comes later is an event of its own (epoll(7), Q9),
    /// so the runtime is told that there is nothing more to read. It would otherwise be asked in vain, with a system call
    /// more on each side of every request.
    fn read_once(&self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let room = buf.remaining();
        let mut is_read = false;
        let tried = self.stream.try_io(Interest::READABLE, || {
            let bytes = self.stream.try_read_buf(buf)?;
            is_read = true;
            if TELLS_OF_EVERY_ARRIVAL && 0 < bytes && bytes < room {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        });
        if is_read { Ok(()) } else { tried }
    }

    /// Reads what a connection that took no more had to say; `None` if that fails.
    #[cold]
    fn read_broken(&self, buf: &mut ReadBuf<'_>) -> Option<io::Result<()>> {
        let read = (&*SockRef::from(&*self.stream)).read(buf.initialize_unfilled());
        match read {
            // The write was told of the reset, and no read will be.
            Ok(0) if self.is_reset && buf.remaining() > 0 => {
                Some(Err(io::ErrorKind::ConnectionReset.into()))
            }
            Ok(bytes) => {
                buf.advance(bytes);
                Some(Ok(()))
            }
            Err(_) => None,
        }
    }

    /// Waits until the peer has closed its sending side or the whole connection, also behind bytes that nobody has read.
    ///
    /// Only Linux tells that ([`TELLS_OF_HANG_UPS`]); elsewhere it waits for ever, and the end is noticed when it is read.
    pub async fn hung_up(&self) {
        // Not "readable", which unread bytes keep true: this interest wakes for the end of the stream, and for urgent
        // data, which this socket does not listen to.
        #[cfg(target_os = "linux")]
        while let Ok(ready) = self.stream.ready(Interest::PRIORITY).await {
            if ready.is_read_closed() {
                return;
            }
        }
        std::future::pending().await
    }
}

impl AsyncRead for SharedTcp {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_broken
            && let Some(read) = self.read_broken(buf)
        {
            return Poll::Ready(read);
        }
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.read_once(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncWrite for SharedTcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    self.note(&done);
                    return Poll::Ready(done);
                }
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A request's head is one slice, and send(2) costs less than writev(2).
        if let [only] = bufs {
            return self.poll_write(cx, only);
        }
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write_vectored(bufs) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    self.note(&done);
                    return Poll::Ready(done);
                }
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // a socket holds nothing back
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.stream).shutdown(std::net::Shutdown::Write))
    }
}

/// Connections that wait to be accepted; the kernel may allow fewer (`net.core.somaxconn`). The runtime's own 128 is less than one
/// burst, and who finds no room is not refused: it tries again a second later.
pub const BACKLOG: u32 = 4096;

/// Whether the system tells of a peer's end behind bytes that nobody has read.
pub const TELLS_OF_HANG_UPS: bool = cfg!(target_os = "linux");

/// Whether the system tells of every arrival by itself, as epoll does on its edge.
const TELLS_OF_EVERY_ARRIVAL: bool = cfg!(target_os = "linux");
