//! A secret service that does not do what it says. Its half of the key exchange is 1, so every session has the same key, and what
//! it once was given it can give back later.

#![expect(clippy::disallowed_types, reason = "what zbus makes of an interface names it")]

use crate::bus::Desktop;
use anyhow::{Context as _, Result};
use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use zbus::connection::Builder;
use zbus::interface;
use zbus::zvariant::{ObjectPath, OwnedObjectPath, OwnedValue, Value};

const SERVICE: &str = "/org/freedesktop/secrets";
const COLLECTION: &str = "/org/freedesktop/secrets/collection/login";
const ITEM: &str = "/org/freedesktop/secrets/collection/login/1";
const LOCKED: &str = "/org/freedesktop/secrets/collection/login/2";
/// Whose the items are.
const USER: &str = "me";
const NEIGHBOUR: &str = "you";

/// Session, parameters, value, content type.
type Secret = (OwnedObjectPath, Vec<u8>, Vec<u8>, String);

/// How it lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lie {
    /// Gives back octets that nobody gave it.
    Garbage,
    /// Gives back what it was given first, for ever.
    Old,
    /// Forgets.
    Nothing,
    /// A key exchange that makes no sense.
    NoKey,
    /// Does not lie about this user's item, and has one of a neighbour's, which is locked.
    Neighbour,
}

struct Service(Lie);
struct Collection;
struct Item {
    lie: Lie,
    locked: bool,
    first: Option<Secret>,
}

fn path(path: &'static str) -> OwnedObjectPath {
    ObjectPath::from_static_str_unchecked(path).into()
}

#[interface(name = "org.freedesktop.Secret.Service")]
impl Service {
    fn open_session(
        &self,
        _algorithm: &str,
        _input: Value<'_>,
    ) -> zbus::fdo::Result<(OwnedValue, OwnedObjectPath)> {
        let key = if self.0 == Lie::NoKey { Value::from("no key") } else { Value::from(vec![1_u8]) };
        let key = OwnedValue::try_from(key).map_err(|error| zbus::fdo::Error::Failed(error.to_string()))?;
        Ok((key, path("/org/freedesktop/secrets/session/s1")))
    }

    fn read_alias(&self, _name: &str) -> OwnedObjectPath {
        path(COLLECTION)
    }

    /// What is unlocked, and what is locked.
    async fn search_items(
        &self,
        attributes: BTreeMap<String, String>,
        #[zbus(object_server)] server: &zbus::ObjectServer,
    ) -> zbus::fdo::Result<(Vec<OwnedObjectPath>, Vec<OwnedObjectPath>)> {
        if self.0 != Lie::Neighbour {
            return Ok((vec![path(ITEM)], Vec::new()));
        }
        let kept = server.interface::<_, Item>(ITEM).await?.get().await.first.is_some();
        let passwords = attributes.get("application").is_some_and(|name| name == "ikeep-password");
        let of = |whose: &str| passwords && attributes.get("user").is_none_or(|user| user == whose);
        let unlocked = if kept && of(USER) { vec![path(ITEM)] } else { Vec::new() };
        let locked = if of(NEIGHBOUR) { vec![path(LOCKED)] } else { Vec::new() };
        Ok((unlocked, locked))
    }
}

#[interface(name = "org.freedesktop.Secret.Collection")]
impl Collection {
    #[zbus(property)]
    fn locked(&self) -> bool {
        false
    }

    async fn create_item(
        &self,
        _properties: BTreeMap<String, OwnedValue>,
        secret: Secret,
        _replace: bool,
        #[zbus(object_server)] server: &zbus::ObjectServer,
    ) -> zbus::fdo::Result<(OwnedObjectPath, OwnedObjectPath)> {
        let item = server.interface::<_, Item>(ITEM).await?;
        item.get_mut().await.first.get_or_insert(secret);
        Ok((path(ITEM), path("/")))
    }
}

#[interface(name = "org.freedesktop.Secret.Item")]
impl Item {
    #[zbus(property)]
    fn locked(&self) -> bool {
        self.locked
    }

    /// Nobody reads them of what is locked.
    #[zbus(property)]
    fn attributes(&self) -> HashMap<String, String> {
        let own = (!self.locked).then(|| ("user".to_owned(), USER.to_owned()));
        own.into_iter().collect()
    }

    fn get_secret(&self, _session: OwnedObjectPath) -> zbus::fdo::Result<(Secret,)> {
        let nothing = || zbus::fdo::Error::Failed("nothing here\u{1b}[31m".into());
        let mut secret = self.first.clone().filter(|_| self.lie != Lie::Nothing).ok_or_else(nothing)?;
        if self.lie == Lie::Garbage {
            secret.2.iter_mut().for_each(|octet| *octet ^= 0x55);
        }
        Ok((secret,))
    }

    fn delete(&mut self) -> OwnedObjectPath {
        if self.lie == Lie::Neighbour {
            self.first = None;
        }
        path("/")
    }
}

/// The liar at work, until it is dropped.
pub(crate) struct Liar {
    end: Option<oneshot::Sender<()>>,
    work: Option<JoinHandle<()>>,
}

impl Liar {
    /// Takes the name of the secret service on this desktop.
    pub(crate) fn start(desktop: &Desktop, lie: Lie) -> Result<Self> {
        let address = desktop.address();
        let (end, ended) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let work = std::thread::spawn(move || {
            let serve = async {
                let serving = async {
                    Builder::address(address.as_str())?
                        .serve_at(SERVICE, Service(lie))?
                        .serve_at(COLLECTION, Collection)?
                        .serve_at(ITEM, Item { lie, locked: false, first: None })?
                        .serve_at(LOCKED, Item { lie, locked: true, first: None })?
                        .name("org.freedesktop.secrets")?
                        .build()
                        .await
                };
                let serving: zbus::Result<zbus::Connection> = serving.await;
                let _ = tell.send(serving.as_ref().err().map(ToString::to_string));
                let _ = ended.await;
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(serve);
        });
        let liar = Self { end: Some(end), work: Some(work) };
        match told.recv().context("the liar ended")? {
            None => Ok(liar),
            Some(error) => anyhow::bail!("the liar could not start: {error}"),
        }
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.work.take().map(JoinHandle::join);
    }
}
