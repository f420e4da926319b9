//! Sending without waiting: what a socket does not take is kept until it does.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

/// A socket that never blocks, and what it did not take yet.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    unsent: Vec<u8>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, unsent: Vec::new() })
    }

    /// Sends what the socket takes of `bytes`, after what was unsent before.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.unsent.is_empty() {
            self.hold(bytes);
            return self.flush();
        }
        let sent = written(self.stream.write(bytes))?;
        self.hold(&bytes[sent..]);
        Ok(())
    }

    /// Keeps `bytes` until the next flush.
    pub(crate) fn hold(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
    }

    /// Sends what the socket takes of what is unsent.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let sent = written(self.stream.write(&self.unsent))?;
        self.unsent.drain(..sent);
        Ok(())
    }

    /// Reads once what has arrived, at least one byte.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(buffer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }

    /// Whether everything was sent.
    pub(crate) fn is_flushed(&self) -> bool {
        self.unsent.is_empty()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// A socket that takes nothing now is none that fails.
fn written(outcome: io::Result<usize>) -> io::Result<usize> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_is_not_taken_at_once_is_sent_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut reader = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut socket = Socket::new(listener.accept().unwrap().0).unwrap();
        let mut sent = Vec::new();
        let mut send = |socket: &mut Socket, byte: usize| {
            let bytes = [byte.to_le_bytes()[0]; 10_000];
            socket.send(&bytes).unwrap();
            sent.extend_from_slice(&bytes);
        };
        let mut count = 0;
        while socket.is_flushed() {
            send(&mut socket, count);
            count += 1;
        }
        send(&mut socket, count);
        socket.hold(b"end");
        sent.extend_from_slice(b"end");
        let reading = std::thread::spawn(move || {
            let mut received = Vec::new();
            reader.read_to_end(&mut received).map(|_| received)
        });
        while !socket.is_flushed() {
            socket.flush().unwrap();
        }
        drop(socket);
        assert!(reading.join().unwrap().unwrap() == sent);
    }
}
