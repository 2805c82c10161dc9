//! `redrive health`: asks the local sidecar whether it is ready, so that a container needs no curl for its health check.
//!
//! One request over a plain socket, and everything about it within two seconds.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::clock;
use crate::config::{self, Config, Sources};

/// Why the sidecar does not count as ready.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The admin address cannot be learnt. The faults are not repeated: a health check's output is one line.
    #[error("not ready: the configuration is not valid, see `redrive check`")]
    Config(config::Error),
    /// Nobody answers there, or not in time.
    #[error("not ready: {address} does not answer")]
    Unreachable {
        /// The admin address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It answers, but not with 200.
    #[error("not ready: {address} answers {answer:?}")]
    NotReady {
        /// The admin address.
        address: SocketAddr,
        /// The status line.
        answer: String,
    },
}

/// Asks the sidecar that this configuration belongs to.
///
/// # Errors
/// Anything but a 200 within two seconds.
pub fn run(sources: Sources<'_>) -> Result<(), Error> {
    let address = admin_address(sources).map_err(Error::Config)?;
    let line = ask(address, LIMIT).map_err(|source| Error::Unreachable { address, source })?;
    if line.split(' ').nth(1) == Some("200") {
        Ok(())
    } else {
        Err(Error::NotReady {
            address,
            answer: line,
        })
    }
}

/// The configured admin address, as one that can be connected to.
fn admin_address(mut sources: Sources<'_>) -> Result<SocketAddr, config::Error> {
    // The upstream may be known to the sidecar alone, from its flags; it is not what is asked for.
    let loaded = match Config::load(&sources) {
        Err(error) if error.is_only_missing_upstream() => {
            sources.flags.upstream = Some("http://upstream.invalid".to_owned());
            Config::load(&sources)?
        }
        result => result?,
    };
    let mut address = loaded.config.admin.listen;
    // Every address of this machine is listened on; the nearest is the right one to ask.
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(address)
}

/// The status line of the answer to `GET /readyz`.
fn ask(address: SocketAddr, limit: Duration) -> io::Result<String> {
    let deadline = clock::now() + limit;
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;

    let mut line = Vec::new();
    let mut piece = [0; STATUS_LINE_BYTES_MAX];
    while !line.contains(&b'\n') && line.len() < STATUS_LINE_BYTES_MAX {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut piece)? {
            0 => break,
            bytes => line.extend_from_slice(&piece[..bytes]),
        }
    }
    let text = String::from_utf8_lossy(&line);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// What is left of the limit; a socket takes no timeout of nothing.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(clock::now());
    if left.is_zero() {
        Err(io::ErrorKind::TimedOut.into())
    } else {
        Ok(left)
    }
}

/// Short of the three seconds or so that orchestrators give a health check.
const LIMIT: Duration = Duration::from_secs(2);

/// No status line of ours comes near it.
const STATUS_LINE_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests;
