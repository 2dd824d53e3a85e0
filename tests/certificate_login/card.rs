//! A card for a test: SoftHSM's token, reached through OpenSC's pkcs11-spy, which writes down every call.

#![allow(dead_code, reason = "each test program uses a part of this")]

use crate::person::Person;
use anyhow::{Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Where Debian and Fedora put it.
const SOFTHSM: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
];
pub(crate) const PIN: &str = "648219";

/// A module where it is installed; `None` leaves the test out.
pub(crate) fn softhsm(test: &str) -> Option<PathBuf> {
    let module = SOFTHSM.iter().map(PathBuf::from).find(|file| file.exists());
    let tools = ["softhsm2-util", "pkcs11-tool"].iter().all(|tool| {
        std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(tool).exists()))
    });
    let module = module.filter(|_| tools);
    if module.is_none() {
        println!("left out: {test} (softhsm2 and opensc are not installed)");
    }
    module
}

/// A token in a folder of its own.
pub(crate) struct Card {
    pub(crate) folder: TempDir,
    pub(crate) module: PathBuf,
}

impl Card {
    pub(crate) fn new(module: PathBuf) -> Result<Self> {
        let folder = TempDir::with_prefix("ikeep-card-")?;
        fs::create_dir(folder.path().join("tokens"))?;
        let tokens = folder.path().join("tokens");
        fs::write(
            folder.path().join("softhsm2.conf"),
            format!(
                "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
                tokens.display()
            ),
        )?;
        let card = Self { folder, module };
        card.run(
            "softhsm2-util",
            &["--init-token", "--free", "--label", "Anna's card", "--pin", PIN, "--so-pin", "11112222"],
        )?;
        Ok(card)
    }

    fn conf(&self) -> PathBuf {
        self.folder.path().join("softhsm2.conf")
    }

    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Result<()> {
        let done = Command::new(program).args(args).env("SOFTHSM2_CONF", self.conf()).output()?;
        ensure!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    /// Certificate and key as a card has them, under one ID.
    pub(crate) fn put(&self, (certificate, key): (&Path, &Path), id: &str, label: &str) -> Result<()> {
        for (file, kind) in [(key, "privkey"), (certificate, "cert")] {
            let module = self.module.display().to_string();
            let file = der(file, kind == "privkey", self.folder.path())?.display().to_string();
            let mut args = vec!["--module", &module, "--login", "--pin", PIN, "--write-object", &file];
            args.extend(["--type", kind, "--id", id, "--label", label]);
            if kind == "privkey" {
                args.extend(["--usage-sign", "--sensitive"]);
            }
            self.run("pkcs11-tool", &args)?;
        }
        Ok(())
    }

    /// For the programs of a person: the card, and a log of each call of the module.
    pub(crate) fn insert(&self, person: &mut Person) {
        person.set("SOFTHSM2_CONF", &self.conf().display().to_string());
        person.set("PKCS11SPY", &self.module.display().to_string());
        person.set("PKCS11SPY_OUTPUT", &self.spied().display().to_string());
    }

    fn spied(&self) -> PathBuf {
        self.folder.path().join("calls")
    }

    /// How often the module was called so.
    pub(crate) fn calls(&self, function: &str) -> usize {
        let log = fs::read_to_string(self.spied()).unwrap_or_default();
        log.lines().filter(|line| line.split_once(": ").is_some_and(|(_, name)| name == function)).count()
    }
}

/// pkcs11-tool of some releases takes DER only.
pub(crate) fn der(pem: &Path, key: bool, folder: &Path) -> Result<PathBuf> {
    let out = folder.join("object.der");
    let mut convert = Command::new("openssl");
    convert.args(if key { ["pkey", "-in"] } else { ["x509", "-in"] });
    let done = convert.arg(pem).args(["-outform", "DER", "-out"]).arg(&out).output()?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(out)
}

pub(crate) fn uri(more: &str) -> String {
    format!("pkcs11:token=Anna's%20card{more}?module-path=/usr/lib/x86_64-linux-gnu/pkcs11-spy.so")
}
