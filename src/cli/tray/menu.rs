//! The menu behind the icon: com.canonical.dbusmenu, with one level.

#![expect(clippy::disallowed_types, reason = "the macro of an interface hands out its properties in a map")]

use super::panel::Shown;
use super::view::Entry;
use super::wishes::Wish;
use std::collections::BTreeMap;
use tokio::sync::{mpsc, watch};
use zbus::fdo;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::{Dict, StructureBuilder, Value};

/// The menu itself, whose lines are its children.
const ROOT: i32 = 0;

type Properties = BTreeMap<&'static str, Value<'static>>;
/// Number, properties, children.
type Layout = (i32, Properties, Vec<Value<'static>>);

/// What the panel asks for.
pub(super) struct Menu {
    pub(super) shown: watch::Receiver<Shown>,
    /// What a person has picked. What nobody takes in time is lost, as a click on a menu that has gone.
    pub(super) wishes: mpsc::Sender<Wish>,
}

impl Menu {
    fn picked(&self, id: i32, what: &str) -> bool {
        let shown = self.shown.borrow();
        let known = id == ROOT || shown.view.menu.iter().any(|entry| entry.id == id);
        if what == "clicked"
            && let Some(wish) = shown.view.wish(id)
            && self.wishes.try_send(wish).is_err()
        {
            tracing::warn!("too much is wanted at once");
        }
        known
    }

    fn properties(&self, id: i32, names: &[String]) -> Option<Properties> {
        let mut properties = match id {
            ROOT => Properties::from([("children-display", Value::from("submenu"))]),
            _ => of(self.shown.borrow().view.menu.iter().find(|entry| entry.id == id)?),
        };
        properties.retain(|name, _| names.is_empty() || names.iter().any(|wanted| wanted == name));
        Some(properties)
    }
}

/// What is not said is as the interface has it: a line that can be picked, with an empty label.
fn of(entry: &Entry) -> Properties {
    match &entry.label {
        None => Properties::from([("type", Value::from("separator"))]),
        Some(label) => {
            // An underscore marks a key for it.
            let mut properties = Properties::from([("label", Value::from(label.replace('_', "__")))]);
            if entry.wish.is_none() {
                properties.insert("enabled", Value::from(false));
            }
            properties
        }
    }
}

fn unknown(id: i32) -> fdo::Error {
    fdo::Error::InvalidArgs(format!("the menu has no line {id}"))
}

#[zbus::interface(name = "com.canonical.dbusmenu")]
impl Menu {
    fn get_layout(&self, parent: i32, depth: i32, names: Vec<String>) -> fdo::Result<(u32, Layout)> {
        let properties = self.properties(parent, &names).ok_or_else(|| unknown(parent))?;
        let (revision, ids) = {
            let shown = self.shown.borrow();
            let below = parent == ROOT && depth != 0;
            let ids: Vec<i32> = shown.view.menu.iter().filter(|_| below).map(|entry| entry.id).collect();
            (shown.revision, ids)
        };
        let child = |id: i32| {
            let properties = Value::from(Dict::from(self.properties(id, &names)?));
            let none: Vec<Value<'static>> = Vec::new();
            let child = StructureBuilder::new().add_field(id).append_field(properties).add_field(none);
            child.build().ok().map(Value::from)
        };
        Ok((revision, (parent, properties, ids.into_iter().filter_map(child).collect())))
    }

    fn get_group_properties(&self, ids: Vec<i32>, names: Vec<String>) -> Vec<(i32, Properties)> {
        let all = || {
            let shown = self.shown.borrow();
            std::iter::once(ROOT).chain(shown.view.menu.iter().map(|entry| entry.id)).collect()
        };
        let ids: Vec<i32> = if ids.is_empty() { all() } else { ids };
        ids.into_iter().filter_map(|id| Some((id, self.properties(id, &names)?))).collect()
    }

    fn get_property(&self, id: i32, name: &str) -> fdo::Result<Value<'static>> {
        let mut properties = self.properties(id, &[]).ok_or_else(|| unknown(id))?;
        let none = || fdo::Error::InvalidArgs(format!("line {id} has no {name}"));
        properties.remove(name).ok_or_else(none)
    }

    fn event(&self, id: i32, what: &str, _data: Value<'_>, _timestamp: u32) -> fdo::Result<()> {
        if self.picked(id, what) { Ok(()) } else { Err(unknown(id)) }
    }

    /// The numbers that are unknown.
    fn event_group(&self, events: Vec<(i32, String, Value<'_>, u32)>) -> Vec<i32> {
        let unknown = events.iter().filter(|(id, what, _, _)| !self.picked(*id, what));
        unknown.map(|(id, ..)| *id).collect()
    }

    /// Whether it has to be asked for anew: what has changed was told.
    fn about_to_show(&self, _id: i32) -> bool {
        false
    }

    fn about_to_show_group(&self, _ids: Vec<i32>) -> (Vec<i32>, Vec<i32>) {
        (Vec::new(), Vec::new())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> u32 {
        3
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn text_direction(&self) -> &'static str {
        "ltr"
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn status(&self) -> &'static str {
        "normal"
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn icon_theme_path(&self) -> Vec<String> {
        Vec::new()
    }

    #[zbus(signal)]
    pub(super) async fn layout_updated(
        emitter: &SignalEmitter<'_>,
        revision: u32,
        parent: i32,
    ) -> zbus::Result<()>;
}
