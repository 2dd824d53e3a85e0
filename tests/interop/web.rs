//! A web server on a host of a test: the one of the network behind the embedded gateway, on the kernel's sockets.

use super::netns::Netns;
use anyhow::Result;
use ikeep::lab::inside::http::Conversation;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Octets moved in one go.
const CHUNK: usize = 64 << 10;

/// A server that says `/bytes/N` in the pattern of [`ikeep::lab::inside::pattern`]; it ends when it is dropped.
pub(crate) struct WebServer {
    at: SocketAddr,
    host: String,
    over: Arc<AtomicBool>,
    clients: Arc<Mutex<Vec<TcpStream>>>,
    threads: Vec<JoinHandle<()>>,
}

impl WebServer {
    /// Serves at `at` on `host`.
    ///
    /// # Errors
    /// The address is not there, or taken.
    pub(crate) fn start(host: &Netns, at: SocketAddr) -> Result<Self> {
        let listener = host.run(|| TcpListener::bind(at))??;
        let (over, clients) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (ended, served) = (Arc::clone(&over), Arc::clone(&clients));
        let accept = std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(own) = client.try_clone() else { continue };
                served.lock().unwrap_or_else(PoisonError::into_inner).push(own);
                // Its end is its client's.
                std::thread::spawn(move || serve(client));
            }
        });
        Ok(Self { at, host: host.name().to_owned(), over, clients, threads: vec![accept] })
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for client in self.clients.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = client.shutdown(Shutdown::Both);
        }
        // One that waits for clients is woken by one.
        let at = self.at;
        let _ = super::netns::inside(&self.host, move || TcpStream::connect(at).map(drop));
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn serve(mut client: TcpStream) {
    let mut conversation = Conversation::new();
    let mut buffer = vec![0; CHUNK];
    while !conversation.is_over() {
        let moved = if conversation.has_output() {
            let length = conversation.send(&mut buffer);
            client.write_all(&buffer[..length])
        } else {
            client.read(&mut buffer).and_then(|length| match length {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                length => {
                    let mut octets = &buffer[..length];
                    // What comes after a request waits for the answer; these tests send one at a time.
                    while !octets.is_empty() && conversation.wants_input() {
                        octets = &octets[conversation.receive(octets)..];
                    }
                    Ok(())
                }
            })
        };
        if moved.is_err() {
            return;
        }
    }
}
