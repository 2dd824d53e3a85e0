//! What a client leaves behind in the tunnel.

use super::*;
use crate::plan::Net;
use crate::tunnel::stack::Buffers;
use crate::tunnel::testing::{Seeded, ip};
use std::future::poll_fn;
use std::task::Poll;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

#[tokio::test]
async fn with_its_client_an_association_gives_its_port_back() {
    let plan = Plan {
        address4: Some([192, 168, 20, 5].into()),
        include: vec![Net::new(ip("192.168.10.0"), 24).unwrap()],
        ..Plan::default()
    };
    let mut stack = Stack::new(Seeded::boxed(1), Buffers { receive: 1 << 10, send: 1 << 10 });
    let (mut resolver, mut datagrams) = (Resolver::new(1), Datagrams::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (local, _) = listener.accept().await.unwrap();
    let mut connection = Connection::new(local, None, Instant::default());
    client.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    let mut client = Some(client);
    while !connection.is_over() {
        poll_fn(|context| match connection.poll_ready(context, &stack, &datagrams) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        let mut tunnel = Tunnel {
            stack: &mut stack,
            resolver: &mut resolver,
            datagrams: &mut datagrams,
            plan: Some(&plan),
            everything: false,
            room: 1,
            now: Instant::default(),
        };
        connection.step(&mut tunnel);
        if connection.is_open()
            && let Some(mut client) = client.take()
        {
            assert_eq!(datagrams.open_ports(), 1);
            let mut answer = [0; 12];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer[2..4], [5, 0]);
        }
    }
    assert!(client.is_none(), "it was served");
    assert_eq!(datagrams.open_ports(), 0);
}
