//! Keys for Wireshark, where the user asked for them in the config file (`[agent] key_log`): two tables that its preferences
//! folder takes as they are (in the form of Wireshark 4.0, which decrypts but cannot check the ICV of 64-bit sequence numbers). Whoever reads them reads the traffic, so the agent says loudly that they are written.

use crate::client::IkeKeys;
use crate::crypto::{Encr, Integ, Secret};
use crate::esp::SaParams;
use rustix::fs::OFlags;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The names that Wireshark gives these tables.
const IKE_TABLE: &str = "ikev2_decryption_table";
const ESP_TABLE: &str = "esp_sa";

/// The two files.
#[derive(Debug)]
pub(super) struct KeyLog {
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
    pub(super) fn open(folder: &Path) -> Result<Self, KeyLogError> {
        let failed = |source| KeyLogError { folder: folder.to_owned(), source };
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.map_err(failed)?,
        }
        // Somebody else's idea of who may read a folder is not changed here.
        let mode = fs::metadata(folder).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(failed(io::Error::other("others can read it (chmod 700 it)")));
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// One IKE SA: a line.
    pub(super) fn ike(&mut self, sa: &IkeKeys) -> io::Result<()> {
        let (spi_i, spi_r) = (hex(&sa.spis.0), hex(&sa.spis.1));
        let keys = &sa.keys;
        let [ei, er, ai, ar] = [&keys.sk_ei, &keys.sk_er, &keys.sk_ai, &keys.sk_ar].map(secret);
        let (encr, integ) = (ike_encryption(sa.suite.encr), ike_integrity(sa.suite.integ));
        let line = format!("{spi_i},{spi_r},{},{},\"{encr}\",{},{},\"{integ}\"\n", *ei, *er, *ai, *ar);
        self.append(IKE_TABLE, Zeroizing::new(line))
    }

    /// A pair of ESP SAs: a line each. The outer addresses change when the machine roams, so any will do.
    pub(super) fn esp(&mut self, pair: &SaParams) -> io::Result<()> {
        let mut lines = Zeroizing::new(String::new());
        let both =
            [(pair.spi_in, &pair.encr_in, &pair.integ_in), (pair.spi_out, &pair.encr_out, &pair.integ_out)];
        for (spi, encr_key, integ_key) in both {
            let (encr, integ) = (esp_encryption(pair.encr), esp_integrity(pair.integ));
            let (encr_key, integ_key) = (secret(encr_key), secret(integ_key));
            let prefix = |key: &str| if key.is_empty() { "" } else { "0x" };
            for family in ["IPv4", "IPv6"] {
                // Writing to a String cannot fail.
                let _ = writeln!(
                    lines,
                    "\"{family}\",\"*\",\"*\",\"0x{spi:08x}\",\"{encr}\",\"0x{}\",\"{integ}\",\"{}{}\"",
                    *encr_key,
                    prefix(&integ_key),
                    *integ_key,
                );
            }
        }
        self.append(ESP_TABLE, lines)
    }

    fn append(&self, name: &str, lines: Zeroizing<String>) -> io::Result<()> {
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let mut open = OpenOptions::new();
        open.create(true).append(true).mode(0o600).custom_flags(flags);
        let mut file = open.open(self.folder.join(name))?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(lines.as_bytes())
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn secret(secret: &Secret) -> Zeroizing<String> {
    Zeroizing::new(hex(secret.expose()))
}

fn ike_encryption(encr: Encr) -> &'static str {
    match encr {
        Encr::AesCbc128 => "AES-CBC-128 [RFC3602]",
        Encr::AesCbc256 => "AES-CBC-256 [RFC3602]",
        Encr::AesGcm128 => "AES-GCM-128 with 16 octet ICV [RFC5282]",
        Encr::AesGcm256 => "AES-GCM-256 with 16 octet ICV [RFC5282]",
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
    if encr.is_aead() { "AES-GCM [RFC4106]" } else { "AES-CBC [RFC3602]" }
}

fn esp_integrity(integ: Option<Integ>) -> &'static str {
    match integ {
        None => "NULL",
        Some(Integ::HmacSha256_128) => "HMAC-SHA-256-128 [RFC4868]",
        Some(Integ::HmacSha384_192) => "HMAC-SHA-384-192 [RFC4868]",
        Some(Integ::HmacSha512_256) => "HMAC-SHA-512-256 [RFC4868]",
    }
}
