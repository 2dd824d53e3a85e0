//! Passwords that the user said to remember, in the secret service and nowhere else: a file would give them to whoever gets the
//! disk, and unlike a token a password opens more than one session.
//!
//! Each is found by gateway and user. As with sessions, every call returns within 300 ms, and nobody is asked to unlock
//! anything.

use super::error::ServiceError;
use super::plain_host;
use super::service::{ask, failed, open_default};
use crate::crypto::Secret;
use secret_service::{Item, SearchItemsResult, SecretService};
use std::collections::BTreeSet;

/// Apart from the sessions' items, which are searched for and erased by theirs.
const APPLICATION: (&str, &str) = ("application", "ikeep-password");
const GATEWAY: &str = "gateway";
const USER: &str = "user";
const CONTENT_TYPE: &str = "text/plain; charset=utf8";

/// A password that was remembered.
#[derive(Debug)]
pub struct Remembered {
    /// Whose.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// What was forgotten.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Forgotten {
    /// Whose passwords there were.
    pub users: Vec<String>,
}

/// The password for this gateway (letter case and a final dot of its name do not count) and user; without a user, the only one
/// that there is. Blocks for at most 300 ms; not to be called on a thread that drives a runtime.
///
/// # Errors
/// [`ServiceError::Locked`] where there is one that cannot be read now; else as the service fails.
pub fn remembered(gateway: &str, user: Option<&str>) -> Result<Option<Remembered>, ServiceError> {
    let gateway = plain_host(gateway);
    ask(async |service| {
        let found = search(service, &gateway, user).await?;
        let mut of_user = Vec::new();
        for item in &found.unlocked {
            let name = item.get_attributes().await.map_err(failed)?.get(USER).cloned().unwrap_or_default();
            of_user.push((name, item));
        }
        match of_user.pop() {
            Some((user, item)) if of_user.is_empty() => {
                let password = Secret::new(item.get_secret().await.map_err(failed)?);
                Ok(Some(Remembered { user, password }))
            }
            // Which of several is meant, only the user can say.
            Some(_) => Ok(None),
            None if found.locked.is_empty() => Ok(None),
            None => Err(ServiceError::Locked),
        }
    })
}

/// Keeps a password in place of an earlier one for the same gateway and user. Blocks as [`remembered`].
///
/// # Errors
/// It is not kept.
pub fn remember(gateway: &str, user: &str, password: &Secret) -> Result<(), ServiceError> {
    let host = plain_host(gateway);
    let label = format!("ikeep: VPN password of {user} for {host}");
    ask(async |service| {
        let collection = open_default(service).await?;
        let attributes = [APPLICATION, (GATEWAY, &host), (USER, user)].into();
        let item = collection
            .create_item(&label, attributes, password.expose(), true, CONTENT_TYPE)
            .await
            .map_err(failed)?;
        match item.get_secret().await.map(Secret::new) {
            Ok(back) if back == *password => Ok(()),
            _ => {
                let _ = item.delete().await;
                Err(ServiceError::Lied)
            }
        }
    })
}

/// Forgets the passwords for this gateway, or that of one user. Blocks as [`remembered`].
///
/// # Errors
/// [`ServiceError::Locked`] where one is left because it cannot be reached now; else as the service fails.
pub fn forget(gateway: &str, user: Option<&str>) -> Result<Forgotten, ServiceError> {
    let gateway = plain_host(gateway);
    ask(async |service| {
        let found = search(service, &gateway, user).await?;
        let mut forgotten = Forgotten::default();
        for item in &found.unlocked {
            let name = item.get_attributes().await.map_err(failed)?.get(USER).cloned().unwrap_or_default();
            item.delete().await.map_err(failed)?;
            forgotten.users.push(name);
        }
        if found.locked.is_empty() { Ok(forgotten) } else { Err(ServiceError::Locked) }
    })
}

/// The gateways that a password is remembered for, readable now or not, each once and in order. Blocks as [`remembered`].
///
/// # Errors
/// As the service fails.
pub fn gateways() -> Result<Vec<String>, ServiceError> {
    ask(async |service| {
        let found = search_for(service, vec![APPLICATION]).await?;
        let mut gateways = BTreeSet::new();
        for item in found.unlocked.iter().chain(&found.locked) {
            gateways.extend(item.get_attributes().await.map_err(failed)?.remove(GATEWAY));
        }
        Ok(gateways.into_iter().collect())
    })
}

/// The items for this gateway, and this user if one is named, readable now or not: another user's are none of this one's business.
async fn search<'a>(
    service: &'a SecretService<'_>,
    gateway: &str,
    user: Option<&str>,
) -> Result<SearchItemsResult<Item<'a>>, ServiceError> {
    let wanted = [APPLICATION, (GATEWAY, gateway)].into_iter().chain(user.map(|user| (USER, user)));
    search_for(service, wanted.collect()).await
}

/// The items with these attributes. The service knows attributes of what is locked, too; they need not be readable.
async fn search_for<'a>(
    service: &'a SecretService<'_>,
    wanted: Vec<(&str, &str)>,
) -> Result<SearchItemsResult<Item<'a>>, ServiceError> {
    // A keyring that has just started finds nothing until it has been asked for this.
    match open_default(service).await {
        Ok(_) | Err(ServiceError::Locked) => {}
        Err(error) => return Err(error),
    }
    service.search_items(wanted.into_iter().collect()).await.map_err(failed)
}
