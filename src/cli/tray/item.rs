//! The icon in the panel: org.kde.StatusNotifierItem.

#![expect(clippy::disallowed_types, reason = "the macro of an interface hands out its properties in a map")]

use super::icon::{self, Pixmap};
use super::panel::{MENU, Shown};
use super::view::Look;
use tokio::sync::watch;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::ObjectPath;

/// Icon's name, icons, title, text.
type ToolTip = (String, Vec<Pixmap>, String, String);

/// What the panel asks for. Nothing is done here: a click opens the menu.
pub(super) struct Item {
    pub(super) shown: watch::Receiver<Shown>,
}

impl Item {
    fn look(&self) -> Look {
        self.shown.borrow().view.look
    }
}

#[zbus::interface(name = "org.kde.StatusNotifierItem")]
impl Item {
    #[zbus(property(emits_changed_signal = "const"))]
    fn category(&self) -> &'static str {
        "SystemServices"
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn id(&self) -> &'static str {
        "ikeep"
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn title(&self) -> String {
        format!("ikeep: {}", self.shown.borrow().view.title)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn status(&self) -> &'static str {
        self.look().status()
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn window_id(&self) -> i32 {
        0
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn icon_name(&self) -> &'static str {
        self.look().icon()
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn icon_pixmap(&self) -> Vec<Pixmap> {
        icon::pixmaps(self.look())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn overlay_icon_name(&self) -> &'static str {
        ""
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn overlay_icon_pixmap(&self) -> Vec<Pixmap> {
        Vec::new()
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn attention_icon_name(&self) -> &'static str {
        Look::Bad.icon()
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn attention_icon_pixmap(&self) -> Vec<Pixmap> {
        icon::pixmaps(Look::Bad)
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn attention_movie_name(&self) -> &'static str {
        ""
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn icon_theme_path(&self) -> &'static str {
        ""
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn tool_tip(&self) -> ToolTip {
        let shown = self.shown.borrow();
        let text = shown.view.tip.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("<br/>");
        (shown.view.look.icon().to_owned(), Vec::new(), format!("ikeep: {}", shown.view.title), text)
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn item_is_menu(&self) -> bool {
        true
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn menu(&self) -> ObjectPath<'static> {
        ObjectPath::from_static_str_unchecked(MENU)
    }

    fn context_menu(&self, _x: i32, _y: i32) {}

    fn activate(&self, _x: i32, _y: i32) {}

    fn secondary_activate(&self, _x: i32, _y: i32) {}

    fn scroll(&self, _delta: i32, _orientation: &str) {}

    #[zbus(signal)]
    pub(super) async fn new_title(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn new_icon(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn new_tool_tip(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn new_status(emitter: &SignalEmitter<'_>, status: &str) -> zbus::Result<()>;
}

/// The panel may read markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
