//! `ikeep gateway serve`, and the way to `ikeep gateway learn`.

mod learn;
mod learnt;

use super::output::{lines, printable};
use super::runtime::{self, Signals};
use super::{Error, Exit, Global, help, output};
use crate::agent::clock::Clock;
use crate::config::{files, read_ppk, read_roots};
use crate::crypto::Secret;
use crate::gateway::{Dpd, Elsewhere, EspChoice, GatewayConfig, GatewayId, User, Wish};
use crate::lab::LabError;
use crate::lab::radius::Radius;
use crate::lab::road::Road;
use crate::lab::serve::{self, Surroundings, Told};
use crate::plan::Net;
use std::collections::BTreeMap;
use std::io::{self, BufRead as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// Largest file of passwords that is read, bytes.
const PASSWORDS: usize = 64 << 10;
/// Console lines that may wait.
const LINES: usize = 16;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Run the embedded gateway alone, with a console
    Serve(Box<Serve>),
    /// Log in once to a gateway and learn how it speaks: which of its attributes are the session's
    Learn(learn::Command),
}

impl Command {
    pub(super) fn run(self, global: &Global) -> Result<Exit, Error> {
        match self {
            Self::Serve(serve) => serve.run(),
            Self::Learn(learn) => learn.run(global),
        }
    }
}

/// What `ikeep gateway serve` takes. What is not given is as at the seed's router.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::GATEWAY)]
pub(super) struct Serve {
    /// The address to listen at
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    listen: IpAddr,
    /// UDP port of the first contact; 0: any
    #[arg(long, value_name = "N", default_value = "500")]
    port: u16,
    /// UDP port of everything after; 0: any
    #[arg(long, value_name = "N", default_value = "4500")]
    nat_port: u16,
    /// A name (or address) in the gateway's certificate, as the HostAddress of the profile; may be given several times
    /// [default: the host of profiles/flexvpn-c8kv.xml, and ADDR]
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Write the certificate of the CA to this file, for `ikeep connect --trust`
    #[arg(long, value_name = "FILE")]
    write_ca: Option<PathBuf>,
    /// A user; may be given several times [default: test, with the password cisco]
    #[arg(long = "user", value_name = "NAME", requires = "passwords_file")]
    users: Vec<String>,
    /// The users' passwords: a line for each --user, in their order
    #[arg(long, value_name = "FILE", requires = "users")]
    passwords_file: Option<PathBuf>,
    /// Ask for a second factor; the answers: a line for each --user, in their order
    #[arg(long, value_name = "FILE", requires = "users")]
    second_factors_file: Option<PathBuf>,
    /// Ask this RADIUS server (PAP) about every login, instead of users of its own
    #[arg(long, value_name = "HOST[:PORT]", requires = "secret_file", conflicts_with_all = ["users", "groups"])]
    radius: Option<String>,
    /// The secret that is shared with the RADIUS server: the first line of this file
    #[arg(long, value_name = "FILE", requires = "radius")]
    secret_file: Option<PathBuf>,
    /// Ask every login for a certificate, and take those that a CA of this PEM file vouches for
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// The certificate is enough: its common name logs in, no password is asked for
    #[arg(long, requires = "client_ca", conflicts_with_all = ["users", "radius"])]
    certificate_only: bool,
    /// Ask every login for a scan of the host, and take those that come back with this token
    #[arg(long, value_name = "TOKEN")]
    host_scan: Option<String>,
    /// A group to log in to; may be given several times: of more than one the user chooses
    #[arg(long = "group", value_name = "NAME")]
    groups: Vec<String>,
    /// The IPv4 addresses to hand out
    #[arg(long, value_name = "FIRST-LAST", default_value = "192.168.20.5-192.168.20.10")]
    pool: Pool<Ipv4Addr>,
    /// The IPv6 addresses to hand out
    #[arg(long, value_name = "FIRST-LAST")]
    pool6: Option<Pool<Ipv6Addr>>,
    /// A network that goes into the tunnel; may be given several times [default: 192.168.10.0/24]
    #[arg(long = "include", value_name = "NET", value_parser = net)]
    include: Vec<Net>,
    /// Everything goes into the tunnel
    #[arg(long, conflicts_with = "include")]
    tunnel_all: bool,
    /// An IPv4 network that stays outside it; may be given several times; 0.0.0.0/32: the client's local networks, for users
    /// who want that (LocalLanAccess)
    #[arg(long = "exclude", value_name = "NET", value_parser = net4)]
    exclude: Vec<Net>,
    /// A DNS server to hand out; may be given several times [default: 192.168.10.53]
    #[arg(long = "dns", value_name = "ADDR")]
    dns: Vec<IpAddr>,
    /// The domain to hand out
    #[arg(long, value_name = "NAME", default_value = "example.com")]
    domain: String,
    /// A text to show to users at login
    #[arg(long, value_name = "TEXT")]
    banner: Option<String>,
    /// Tell clients whom to try where this gateway gives no answer; may be given several times
    #[arg(long = "backup", value_name = "NAME")]
    backups: Vec<String>,
    /// How long a lost session can be taken up again; 0: no session ID and no token is handed out
    #[arg(long, value_name = "SECONDS", default_value = "900", value_parser = clap::value_parser!(u32).range(..=86_400))]
    reconnect_timeout: u32,
    /// Take up lost sessions only, none that is still thought alive
    #[arg(long)]
    strict: bool,
    /// Ask a silent client after this time whether it is alive
    #[arg(long, value_name = "SECONDS", default_value = "45", value_parser = clap::value_parser!(u32).range(1..=3600))]
    dpd: u32,
    /// Tell clients to authenticate anew within this time (RFC 4478), and delete the SAs of those that did not
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(10..))]
    auth_lifetime: Option<u32>,
    /// Of ESP take this suite alone [default: any, the seed's first]
    #[arg(long, value_name = "SUITE")]
    esp: Option<EspSuite>,
    /// Offer IKE fragmentation (RFC 7383)
    #[arg(long)]
    fragmentation: bool,
    /// Offer the IKE fragmentation of before RFC 7383 (the dialect key `legacy_fragmentation`), for clients that have no other
    #[arg(long)]
    legacy_fragmentation: bool,
    /// Offer MOBIKE (RFC 4555): clients move their tunnel to another address
    #[arg(long)]
    mobike: bool,
    /// Give tickets that are good for so long, and take them (RFC 5723): IKE SAs are resumed without a login; not with
    /// --ppk-id
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    tickets: Option<u32>,
    /// The network behind the gateway is this machine: make a device, with this address here; may be given for both families;
    /// needs CAP_NET_ADMIN [default: hosts in --include that answer pings]
    #[arg(long = "tun", value_name = "ADDR")]
    tun: Vec<IpAddr>,
    /// The name of a post-quantum preshared key (RFC 8784), for clients that have it
    #[arg(long, value_name = "NAME", requires = "ppk_file")]
    ppk_id: Option<String>,
    /// The key: 32 octets at least, or 0x and hexadecimal digits, in a file that nobody else can read
    #[arg(long, value_name = "FILE", requires = "ppk_id")]
    ppk_file: Option<PathBuf>,
    /// Refuse clients that do not have it
    #[arg(long, requires = "ppk_id")]
    ppk_required: bool,
    /// ML-KEM-768 as a key exchange beside the usual one (RFC 9370), where clients offer it, or from all of them
    #[arg(long, value_name = "WISH")]
    ml_kem: Option<MlKem>,
    /// Send logins to another gateway (RFC 5685), for clients that follow
    #[arg(long, value_name = "HOST")]
    redirect: Option<GatewayId>,
    /// Send them only when the user has logged in
    #[arg(long, requires = "redirect")]
    redirect_after_login: bool,
}

/// Who needs ML-KEM.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum MlKem {
    /// Nobody
    Offer,
    /// Every client
    Require,
}

/// What protects packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
#[value(rename_all = "kebab-case")]
enum EspSuite {
    /// AES-CBC with 256 bit and HMAC-SHA-384-192: the seed's
    AesCbc256Sha384,
    /// AES-GCM with 256 bit
    AesGcm256,
    /// ChaCha20-Poly1305 (RFC 7634)
    #[value(name = "chacha20-poly1305")]
    ChaCha20Poly1305,
}

/// First and last address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pool<A>(A, A);

impl<A: FromStr + Ord> FromStr for Pool<A> {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').ok_or("expected FIRST-LAST")?;
        let read = |text: &str| text.trim().parse::<A>().map_err(|_| "expected two addresses of this family");
        let (first, last) = (read(first)?, read(last)?);
        if first <= last { Ok(Self(first, last)) } else { Err("the first address lies behind the last") }
    }
}

fn net(text: &str) -> Result<Net, &'static str> {
    let (address, prefix) = text.split_once('/').ok_or("expected ADDRESS/PREFIX")?;
    let address = address.parse().map_err(|_| "expected an address before the slash")?;
    let prefix = prefix.parse().map_err(|_| "expected a number of bits behind the slash")?;
    Net::new(address, prefix).ok_or("the prefix is longer than the address")
}

/// No attribute says that an IPv6 network stays outside.
fn net4(text: &str) -> Result<Net, &'static str> {
    let net = net(text)?;
    if net.address.is_ipv4() { Ok(net) } else { Err("a client can be told of IPv4 networks only") }
}

impl Serve {
    fn run(self) -> Result<Exit, Error> {
        let users = self.users()?;
        let names =
            if self.names.is_empty() { serve::default_names(self.listen)? } else { self.names.clone() };
        let (seed, ca) = serve::gateway(self.listen, &names, Clock::system().now().wall)?;
        let loud = "its keys are PUBLIC TEST KEYS: whoever has this program can pretend to be this gateway";
        eprintln!("ikeep: a gateway for {}; {loud}", names.join(", "));
        if users.is_none() && self.radius.is_none() && !self.certificate_only {
            eprintln!("ikeep: one user, test, with the password cisco, which everybody knows: see --user");
        }
        let mut config = self.config(seed, users);
        config.ike.ml_kem = match self.ml_kem {
            None => Wish::No,
            Some(MlKem::Offer) => Wish::Offer,
            Some(MlKem::Require) => Wish::Require,
        };
        if let Some(file) = &self.client_ca {
            let roots = read_roots(file).map_err(|(what, mend)| Error::ClientCa { what, mend })?;
            config.client_roots = roots.into_iter().map(|root| root.der).collect();
        }
        if let (Some(id), Some(file)) = (&self.ppk_id, &self.ppk_file) {
            let ppk = read_ppk(id, file, self.ppk_required).map_err(Error::Ppk)?;
            config.ppk = Some(ppk);
        }
        if let Some(file) = &self.write_ca {
            serve::write_public(file, &ca)?;
            let shown = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            eprintln!("ikeep: the CA's certificate is in {}: ikeep connect --trust {0}", shown.display());
        }
        runtime::block_on(async {
            let radius = match (&self.radius, &self.secret_file) {
                (Some(server), Some(file)) => {
                    let secret = secrets(file, 1)?.remove(0);
                    let found = Radius::find(server, secret, self.listen).await;
                    let lost = |source| Error::Lab(LabError::Radius { server: server.clone(), source });
                    Some(found.map_err(lost)?)
                }
                _ => None,
            };
            let road = match &self.tun[..] {
                [] => None,
                own => Some(Road::open(own.to_vec(), &self.pools()).await?),
            };
            let mut signals = Signals::new()?;
            let stop = async move {
                signals.wait().await;
            };
            let mut broken = Ok(());
            let tell = |told| {
                let written = match told {
                    Told::Ports(ike, nat) => {
                        output::print(&format!("listening: IKE at {ike}, NAT-T and ESP at {nat}\n"))
                    }
                    Told::Answer(text) if text.is_empty() => Ok(()),
                    Told::Answer(text) => output::print(&(lines(&text) + "\n")),
                    Told::Event(text) => {
                        eprintln!("{}", printable(&text));
                        Ok(())
                    }
                };
                if broken.is_ok() {
                    broken = written;
                }
            };
            serve::run(config, self.listen, Surroundings { road, radius }, console(), stop, tell).await?;
            broken
        })?;
        Ok(Exit::Done)
    }

    fn pools(&self) -> Vec<RangeInclusive<IpAddr>> {
        let four = IpAddr::V4(self.pool.0)..=IpAddr::V4(self.pool.1);
        let six = self.pool6.map(|pool| IpAddr::V6(pool.0)..=IpAddr::V6(pool.1));
        [Some(four), six].into_iter().flatten().collect()
    }

    fn config(&self, seed: GatewayConfig, users: Option<BTreeMap<String, User>>) -> GatewayConfig {
        let include = match &self.include[..] {
            _ if self.tunnel_all => Vec::new(),
            [] => seed.include.clone(),
            nets => nets.to_vec(),
        };
        let mut dialect = seed.dialect.clone();
        dialect.legacy_fragmentation = self.legacy_fragmentation;
        GatewayConfig {
            ports: (self.port, self.nat_port),
            users: users.unwrap_or_else(|| seed.users.clone()),
            certificate_only: self.certificate_only,
            host_scan: self.host_scan.clone(),
            groups: self.groups.clone(),
            pool4: (self.pool.0, self.pool.1),
            pool6: self.pool6.map(|pool| (pool.0, pool.1)),
            // What clients send here is to be answered by something.
            inside: if !self.tun.is_empty() {
                Vec::new()
            } else if include.is_empty() {
                seed.inside.clone()
            } else {
                include.clone()
            },
            include,
            exclude: self.exclude.clone(),
            dns: if self.dns.is_empty() { seed.dns.clone() } else { self.dns.clone() },
            domain: Some(self.domain.clone()).filter(|domain| !domain.is_empty()),
            banner: self.banner.clone(),
            backup_servers: self.backups.clone(),
            reconnect_timeout: Some(self.reconnect_timeout)
                .filter(|seconds| *seconds > 0)
                .map(|seconds| Duration::from_secs(seconds.into())),
            lenient: !self.strict,
            dpd: Dpd { interval: Duration::from_secs(self.dpd.into()), ..seed.dpd },
            auth_lifetime: self.auth_lifetime.map(|seconds| Duration::from_secs(seconds.into())),
            esp: match self.esp {
                Some(EspSuite::AesCbc256Sha384) => seed.esp.only(EspChoice::AesCbc256Sha384),
                Some(EspSuite::AesGcm256) => seed.esp.only(EspChoice::AesGcm256),
                Some(EspSuite::ChaCha20Poly1305) => seed.esp.only(EspChoice::ChaCha20Poly1305),
                None => seed.esp.clone(),
            },
            fragmentation: self.fragmentation,
            dialect,
            mobike: self.mobike,
            tickets: self.tickets.map(|seconds| Duration::from_secs(seconds.into())),
            redirect: self
                .redirect
                .clone()
                .map(|to| Elsewhere { to, after_login: self.redirect_after_login }),
            ..seed
        }
    }

    /// `None` where none is named: the seed's own.
    fn users(&self) -> Result<Option<BTreeMap<String, User>>, Error> {
        let Some(file) = &self.passwords_file else { return Ok(None) };
        let passwords = secrets(file, self.users.len())?;
        let mut factors = match &self.second_factors_file {
            Some(file) => secrets(file, self.users.len())?.into_iter().map(Some).collect(),
            None => vec![None; self.users.len()],
        }
        .into_iter();
        let user = |(name, password): (&String, Secret)| {
            let second_factor = factors.next().flatten();
            (name.clone(), User { password, second_factor, groups: Vec::new() })
        };
        Ok(Some(self.users.iter().zip(passwords).map(user).collect()))
    }
}

/// The first `count` lines.
fn secrets(file: &Path, count: usize) -> Result<Vec<Secret>, Error> {
    let octets = files::read_at_most(file, PASSWORDS).map(Zeroizing::new);
    let octets = octets.map_err(|source| Error::Read { file: file.to_owned(), source })?;
    let line = |line: &[u8]| Secret::from(line.strip_suffix(b"\r").unwrap_or(line));
    let secrets: Vec<Secret> = octets
        .split(|octet| *octet == b'\n')
        .map(line)
        .take_while(|line| !line.is_empty())
        .take(count)
        .collect();
    if secrets.len() < count {
        return Err(Error::Passwords { file: file.to_owned(), wanted: count, found: secrets.len() });
    }
    Ok(secrets)
}

/// Lines of standard input. Their thread ends with the input, or with the process.
fn console() -> mpsc::Receiver<String> {
    let (lines_in, lines) = mpsc::channel(LINES);
    std::thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            let Ok(line) = line else { return };
            if lines_in.blocking_send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    lines
}
