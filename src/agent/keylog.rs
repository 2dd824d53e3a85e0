//! Keys for Wireshark, where the user asked for them in the config file (`[agent] key_log`): two tables that its preferences
//! folder takes as they are (in the form of Wireshark 4.0, which decrypts but cannot check the ICV of 64-bit sequence numbers). Whoever reads them reads the traffic, so the agent says loudly that they are written.

use crate::client::IkeKeys;
use crate::crypto::{Encr, Integ, Secret};
use crate::esp::SaParams;
use crate::journal::{Queue, Sink};
use rustix::fs::OFlags;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// The names that Wireshark gives these tables.
const IKE_TABLE: &str = "ikev2_decryption_table";
const ESP_TABLE: &str = "esp_sa";

/// Sets of lines that may wait for the disk: there is one for each new SA.
const ROOM: usize = 256;
/// A line without its keys is shorter, octets.
const ROOM_OF_A_LINE: usize = 256;
/// A folder that takes longer to look at is on a disk that hangs.
const LIMIT: Duration = Duration::from_secs(3);

/// The two files, written by a thread of its own: a disk that hangs holds up no packet, and what it is too slow for is missing
/// in them, which the agent's log says. Clones write to the same files.
#[derive(Clone, Debug)]
pub(super) struct KeyLog(Queue<Lines>);

/// Lines for one of the tables.
struct Lines {
    table: &'static str,
    text: Zeroizing<String>,
}

/// The files' end, on its thread.
struct Tables {
    folder: PathBuf,
}

/// The folder cannot be made or used.
#[derive(Debug, thiserror::Error)]
#[error("the folder of the key log, {}, cannot be used: {source}; take `key_log` out of the config file or name another", .folder.display())]
pub(super) struct KeyLogError {
    folder: PathBuf,
    source: io::Error,
}

impl KeyLog {
    /// Makes the folder where it is not there. Waits 3 s at most.
    ///
    /// # Errors
    /// It cannot be used.
    pub(super) async fn open(folder: &Path) -> Result<Self, KeyLogError> {
        let failed = |source| KeyLogError { folder: folder.to_owned(), source };
        let tables = Tables { folder: folder.to_owned() };
        let made = tokio::task::spawn_blocking(move || tables.prepare().map(|()| tables));
        let tables = match tokio::time::timeout(LIMIT, made).await {
            Ok(Ok(made)) => made.map_err(failed)?,
            Ok(Err(crash)) => return Err(failed(io::Error::other(crash))),
            Err(_) => {
                return Err(failed(io::Error::new(io::ErrorKind::TimedOut, "its disk does not answer")));
            }
        };
        Ok(Self(Queue::new("ikeep-keys", ROOM, tables)))
    }

    /// Waits until all is written, for at most `limit`; whether it is. Blocks.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        self.0.flush(limit)
    }

    /// One IKE SA: a line.
    pub(super) fn ike(&self, sa: &IkeKeys) {
        let (spi_i, spi_r) = (hex(&sa.spis.0), hex(&sa.spis.1));
        let keys = &sa.keys;
        let [ei, er, ai, ar] = [&keys.sk_ei, &keys.sk_er, &keys.sk_ai, &keys.sk_ar].map(secret);
        let (encr, integ) = (ike_encryption(sa.suite.encr), ike_integrity(sa.suite.integ));
        let mark = mark(sa.suite.encr);
        let mut line = with_room(ROOM_OF_A_LINE + ei.len() + er.len() + ai.len() + ar.len());
        // Writing to a String cannot fail.
        let _ =
            writeln!(line, "{mark}{spi_i},{spi_r},{},{},\"{encr}\",{},{},\"{integ}\"", *ei, *er, *ai, *ar);
        self.0.push(Lines { table: IKE_TABLE, text: line });
    }

    /// A pair of ESP SAs: a line each. The outer addresses change when the machine roams, so any will do.
    pub(super) fn esp(&self, pair: &SaParams) {
        let both =
            [(pair.spi_in, &pair.encr_in, &pair.integ_in), (pair.spi_out, &pair.encr_out, &pair.integ_out)];
        let digits: usize = both.iter().map(|(_, encr, integ)| 2 * (encr.len() + integ.len())).sum();
        let mut lines = with_room(2 * (2 * ROOM_OF_A_LINE + digits));
        for (spi, encr_key, integ_key) in both {
            let (encr, integ) = (esp_encryption(pair.encr), esp_integrity(pair.integ));
            let (encr_key, integ_key) = (secret(encr_key), secret(integ_key));
            let mark = mark(pair.encr);
            let prefix = |key: &str| if key.is_empty() { "" } else { "0x" };
            for family in ["IPv4", "IPv6"] {
                // Writing to a String cannot fail.
                let _ = writeln!(
                    lines,
                    "{mark}\"{family}\",\"*\",\"*\",\"0x{spi:08x}\",\"{encr}\",\"0x{}\",\"{integ}\",\"{}{}\"",
                    *encr_key,
                    prefix(&integ_key),
                    *integ_key,
                );
            }
        }
        self.0.push(Lines { table: ESP_TABLE, text: lines });
    }
}

impl Tables {
    fn prepare(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
        // Somebody else's idea of who may read a folder is not changed here.
        let mode = fs::metadata(&self.folder)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(io::Error::other("others can read it (chmod 700 it)"));
        }
        Ok(())
    }

    fn append(&self, lines: &Lines) -> io::Result<()> {
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let mut open = OpenOptions::new();
        open.create(true).append(true).mode(0o600).custom_flags(flags);
        let mut file = open.open(self.folder.join(lines.table))?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(lines.text.as_bytes())
    }
}

impl Sink<Lines> for Tables {
    fn write(&mut self, lines: Lines) {
        if let Err(error) = self.append(&lines) {
            tracing::warn!(%error, table = lines.table, "the key log cannot be written");
        }
    }

    fn missing(&mut self, _: Lines, count: u64) {
        tracing::warn!(count, "the disk of the key log is too slow: keys are missing in it");
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn secret(secret: &Secret) -> Zeroizing<String> {
    let mut digits = with_room(2 * secret.len());
    for octet in secret.expose() {
        let _ = write!(digits, "{octet:02x}");
    }
    digits
}

/// A text that does not move while it has no more octets than these: a `String` that grows leaves the old ones behind.
fn with_room(octets: usize) -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(octets))
}

/// Wireshark 4.0 has no ChaCha20-Poly1305 (RFC 7634), and of a table with a name that it does not know it reads nothing further: such
/// a line is a comment, for a Wireshark that has it.
fn mark(encr: Encr) -> &'static str {
    if encr == Encr::ChaCha20Poly1305 { "# " } else { "" }
}

fn ike_encryption(encr: Encr) -> &'static str {
    match encr {
        Encr::AesCbc128 => "AES-CBC-128 [RFC3602]",
        Encr::AesCbc256 => "AES-CBC-256 [RFC3602]",
        Encr::AesGcm128 => "AES-GCM-128 with 16 octet ICV [RFC5282]",
        Encr::AesGcm256 => "AES-GCM-256 with 16 octet ICV [RFC5282]",
        Encr::ChaCha20Poly1305 => "ENCR_CHACHA20_POLY1305",
    }
}

fn ike_integrity(integ: Option<Integ>) -> &'static str {
    match integ {
        None => "NONE [RFC4306]",
        Some(Integ::HmacSha256_128) => "HMAC_SHA2_256_128 [RFC4868]",
        Some(Integ::HmacSha384_192) => "HMAC_SHA2_384_192 [RFC4868]",
        Some(Integ::HmacSha512_256) => "HMAC_SHA2_512_256 [RFC4868]",
    }
}

fn esp_encryption(encr: Encr) -> &'static str {
    match encr {
        Encr::AesCbc128 | Encr::AesCbc256 => "AES-CBC [RFC3602]",
        Encr::AesGcm128 | Encr::AesGcm256 => "AES-GCM with 16 octet ICV [RFC4106]",
        Encr::ChaCha20Poly1305 => "ChaCha20 with Poly1305 [RFC7634]",
    }
}

fn esp_integrity(integ: Option<Integ>) -> &'static str {
    match integ {
        None => "NULL",
        Some(Integ::HmacSha256_128) => "HMAC-SHA-256-128 [RFC4868]",
        Some(Integ::HmacSha384_192) => "HMAC-SHA-384-192 [RFC4868]",
        Some(Integ::HmacSha512_256) => "HMAC-SHA-512-256 [RFC4868]",
    }
}

#[cfg(test)]
mod tests;
