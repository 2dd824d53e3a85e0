//! Our way to the panel: the session bus, on which whoever keeps the icons (StatusNotifierWatcher) is told of ours.

use super::item::Item;
use super::menu::Menu;
use super::view::View;
use super::wishes::Wish;
use crate::cli::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use zbus::export::futures_core::Stream as _;
use zbus::fdo::RequestNameFlags;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, MatchRule, Message, MessageStream, connection, message};

/// Owned by the one tray of a session.
const TRAY: &str = "io.github.ikeep.Tray";
const WATCHER: &str = "org.kde.StatusNotifierWatcher";
const WATCHER_PATH: &str = "/StatusNotifierWatcher";
const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
/// Where the panel looks for an icon.
const ITEM: &str = "/StatusNotifierItem";
/// Where the icon's menu is.
pub(super) const MENU: &str = "/StatusNotifierItem/Menu";

/// Longest wait for the bus.
const PATIENCE: Duration = Duration::from_secs(10);
/// A watcher that refuses is asked again after this, then after twice as long each time, up to the second.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Changes of the watcher that may wait for us.
const OWNERS: usize = 16;

/// What is on the screen.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) view: View,
    /// Of the menu; a new one for each change.
    pub(super) revision: u32,
}

/// The session bus, and us on it.
pub(super) struct Panel {
    connection: Connection,
    /// Changes of who keeps the icons.
    owners: MessageStream,
    shown: watch::Sender<Shown>,
    registering: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Panel {
    /// What a person picks goes to `wishes`.
    ///
    /// # Errors
    /// There is no session bus, or it has a tray of ours already.
    pub(super) async fn find(view: View, wishes: mpsc::Sender<Wish>) -> Result<Self, Error> {
        let (sender, shown) = watch::channel(Shown { view, revision: 1 });
        let found = timeout(PATIENCE, connect(shown, wishes)).await;
        let late = || zbus::Error::Failure(format!("no answer within {} s", PATIENCE.as_secs()));
        let found = found.unwrap_or_else(|_| Err(late()));
        let (connection, owners, owner) = found.map_err(|error| match error {
            zbus::Error::NameTaken => Error::Tray,
            error => Error::Bus(Box::new(error)),
        })?;
        let mut panel = Self { connection, owners, shown: sender, registering: None };
        if owner {
            panel.register();
        }
        Ok(panel)
    }

    /// Registers with whoever comes; returns when the bus has gone. May be cancelled.
    pub(super) async fn keep(&mut self) {
        loop {
            let registered = async {
                match self.registering.as_mut() {
                    Some(registering) => registering.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = registered => self.registering = None,
                change = poll_fn(|context| Pin::new(&mut self.owners).poll_next(context)) => match change {
                    Some(Ok(change)) => self.owner_changed(&change),
                    Some(Err(_)) | None => return,
                },
            }
        }
    }

    fn owner_changed(&mut self, change: &Message) {
        let body = change.body();
        let Ok((_, _, owner)) = body.deserialize::<(&str, &str, &str)>() else { return };
        self.registering = None;
        if !owner.is_empty() {
            self.register();
        }
    }

    fn register(&mut self) {
        self.registering = Some(Box::pin(register(self.connection.clone())));
    }

    /// Shows this from now on.
    ///
    /// # Errors
    /// The bus has gone.
    pub(super) async fn show(&mut self, view: View) -> zbus::Result<()> {
        let before = self.shown.borrow().clone();
        if before.view == view {
            return Ok(());
        }
        let menu = before.view.menu != view.menu;
        let revision = if menu { before.revision.wrapping_add(1) } else { before.revision };
        self.shown.send_replace(Shown { view: view.clone(), revision });
        let item = SignalEmitter::new(&self.connection, ITEM)?;
        if before.view.title != view.title {
            Item::new_title(&item).await?;
        }
        if before.view.look != view.look {
            Item::new_icon(&item).await?;
            Item::new_status(&item, view.look.status()).await?;
        }
        if (&before.view.title, &before.view.tip) != (&view.title, &view.tip) || before.view.look != view.look
        {
            Item::new_tool_tip(&item).await?;
        }
        if menu {
            Menu::layout_updated(&SignalEmitter::new(&self.connection, MENU)?, revision, 0).await?;
        }
        Ok(())
    }
}

/// The bus with our objects and names on it, changes of the watcher's owner, and whether there is one.
async fn connect(
    shown: watch::Receiver<Shown>,
    wishes: mpsc::Sender<Wish>,
) -> zbus::Result<(Connection, MessageStream, bool)> {
    let connection = connection::Builder::session()?
        .serve_at(ITEM, Item { shown: shown.clone() })?
        .serve_at(MENU, Menu { shown, wishes })?
        .build()
        .await?;
    connection.request_name(own_name()).await?;
    connection.request_name_with_flags(TRAY, RequestNameFlags::DoNotQueue.into()).await?;
    let rule = MatchRule::builder()
        .msg_type(message::Type::Signal)
        .sender(BUS)?
        .interface(BUS)?
        .member("NameOwnerChanged")?
        .add_arg(WATCHER)?
        .build();
    let owners = MessageStream::for_match_rule(rule, &connection, Some(OWNERS)).await?;
    let there = connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "NameHasOwner", &WATCHER).await?;
    let there = there.body().deserialize()?;
    Ok((connection, owners, there))
}

/// As the interface wants it.
fn own_name() -> String {
    format!("org.kde.StatusNotifierItem-{}-1", std::process::id())
}

/// Until the watcher has taken it.
async fn register(connection: Connection) {
    let name = own_name();
    let mut wait = FIRST_WAIT;
    loop {
        let call = connection.call_method(
            Some(WATCHER),
            WATCHER_PATH,
            Some(WATCHER),
            "RegisterStatusNotifierItem",
            &name,
        );
        match timeout(PATIENCE, call).await {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => tracing::info!(%error, "the panel takes no icon"),
            Err(_) => tracing::info!("the panel does not answer"),
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
