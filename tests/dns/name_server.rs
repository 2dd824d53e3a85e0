//! A name server that answers each question for an address with its own, and remembers what it was asked; and a program that
//! asks.

use crate::interop::{Netns, PATIENCE};
use anyhow::{Context as _, Result, ensure};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// The server, until it is dropped.
pub(crate) struct NameServer {
    asked: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// On port 53 of this address of a host.
    pub(crate) fn start(host: &Netns, address: Ipv4Addr) -> Result<Self> {
        let socket = host.run(|| UdpSocket::bind((address, 53)))??;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let (asked, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, end) = (Arc::clone(&asked), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while !end.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                if let Some((name, answer)) = answer(&buffer[..length], address) {
                    log.lock().unwrap().push(name);
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Ok(Self { asked, over, thread: Some(thread) })
    }

    /// The names that it was asked for until now.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The name and the end of the question.
fn question(message: &[u8]) -> Option<(String, usize)> {
    let (mut at, mut name) = (12, String::new());
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return Some((name, at + 4));
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&String::from_utf8_lossy(message.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
}

fn answer(query: &[u8], address: Ipv4Addr) -> Option<(String, Vec<u8>)> {
    let (name, end) = question(query)?;
    let for_an_address = query.get(end - 4..end)? == [0, 1, 0, 1];
    let mut answer = query.get(..2)?.to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(for_an_address), 0, 0, 0, 0]);
    answer.extend(query.get(12..end)?);
    if for_an_address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    Some((name, answer))
}

/// Asks a server for the address of a name, in this thread's network namespace.
pub(crate) fn ask(server: SocketAddr, name: &str) -> Result<Ipv4Addr> {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(u8::try_from(label.len())?);
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(&query, server)?;
    let mut buffer = [0; 1500];
    let length = socket.recv(&mut buffer).with_context(|| format!("asking for {name}"))?;
    let message = &buffer[..length];
    ensure!(message[3] & 0xf == 0, "{name}: code {}", message[3] & 0xf);
    let (_, end) = question(message).context("no question")?;
    let octets = message.get(end + 12..end + 16).with_context(|| format!("{name} has no address"))?;
    Ok(<[u8; 4]>::try_from(octets)?.into())
}
