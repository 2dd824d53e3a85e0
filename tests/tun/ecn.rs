//! Congestion marks (ECN): what the sender inside says of itself stands outside too, and what a router outside says arrives inside.

use crate::interop::{BEHIND_GATEWAY, Netns};
use crate::world::{BEHIND_GATEWAY6, Kind, Options, Peer, against};
use anyhow::{Context, Result, ensure};
use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

/// A program inside that looks at marks.
struct Talker {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl Talker {
    fn new(host: &Netns, ip: IpAddr) -> Result<Self> {
        let socket = host.run(|| UdpSocket::bind((ip, 0)))??;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // Waiting is the kernel's.
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(Self { socket, state })
    }

    fn at(&self) -> Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    fn say(&self, to: SocketAddr, ecn: Option<EcnCodepoint>) -> Result<()> {
        let transmit =
            Transmit { destination: to, ecn, contents: b"hello", segment_size: None, src_ip: None };
        Ok(self.state.try_send(UdpSockRef::from(&self.socket), &transmit)?)
    }

    /// The mark of the next datagram.
    fn hear(&self) -> Result<Option<EcnCodepoint>> {
        let mut octets = [0; 64];
        let mut metas = [RecvMeta::default()];
        let mut buffers = [IoSliceMut::new(&mut octets)];
        self.state.recv(UdpSockRef::from(&self.socket), &mut buffers, &mut metas).context("nothing came")?;
        Ok(metas[0].ecn)
    }
}

const MARKS: [Option<EcnCodepoint>; 4] =
    [None, Some(EcnCodepoint::Ect0), Some(EcnCodepoint::Ect1), Some(EcnCodepoint::Ce)];

#[test]
fn marks_go_through_the_tunnel_both_ways() -> Result<()> {
    let test = "marks_go_through_the_tunnel_both_ways";
    against(&[Kind::Embedded, Kind::StrongSwan], test, Options::default(), |world| {
        // strongSwan's libipsec copies no marks, neither way: against it our half is looked at.
        let is_ours = matches!(world.peer, Peer::Embedded(_));
        world.connect()?;
        let home = &world.net.home;
        for (inside, behind) in [("192.168.20.5", BEHIND_GATEWAY), ("fd20::5", BEHIND_GATEWAY6)] {
            let ours = Talker::new(&world.net.laptop, inside.parse()?)?;
            let theirs = Talker::new(&world.net.gateway, behind.parse()?)?;
            for mark in MARKS {
                let name = match mark {
                    None => "not-ect",
                    Some(EcnCodepoint::Ect0) => "ect0",
                    Some(EcnCodepoint::Ect1) => "ect1",
                    Some(EcnCodepoint::Ce) => "ce",
                };
                home.nft(&format!(
                    "add table ip marks; add chain ip marks path {{ type filter hook forward priority 0; }}; \
                     add rule ip marks path iifname \"lan\" udp dport 4500 ip ecn {name} counter"
                ))?;
                ours.say(theirs.at()?, mark)?;
                ensure!(theirs.hear()? == mark, "{inside}: {name} did not arrive");
                let output = home.command("nft").args(["list", "table", "ip", "marks"]).output()?;
                let counted = String::from_utf8(output.stdout)?;
                ensure!(
                    !counted.contains("counter packets 0 "),
                    "{inside}: {name} was not seen outside\n{counted}"
                );
                home.nft("delete table ip marks")?;
                theirs.say(ours.at()?, mark)?;
                ensure!(ours.hear()? == mark, "{inside}: {name} did not come back");
            }
            // A router is congested.
            home.nft(
                "add table ip marks; add chain ip marks path { type filter hook forward priority 0; }; \
                 add rule ip marks path udp dport 4500 ip ecn { ect0, ect1 } ip ecn set ce; \
                 add rule ip marks path udp sport 4500 ip ecn { ect0, ect1 } ip ecn set ce",
            )?;
            for mark in [Some(EcnCodepoint::Ect0), Some(EcnCodepoint::Ect1)].into_iter().filter(|_| is_ours) {
                ours.say(theirs.at()?, mark)?;
                ensure!(theirs.hear()? == Some(EcnCodepoint::Ce), "{inside}: the mark did not arrive");
                theirs.say(ours.at()?, mark)?;
                ensure!(ours.hear()? == Some(EcnCodepoint::Ce), "{inside}: the mark did not come back");
            }
            ours.say(theirs.at()?, None)?;
            ensure!(theirs.hear()?.is_none(), "{inside}: a mark from nowhere");
            home.nft("delete table ip marks")?;
        }
        println!("ECN, both families, both ways, ours at both ends: {is_ours}; as RFC 6040 has it");
        Ok(())
    })
}
