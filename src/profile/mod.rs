//! The AnyConnect XML profile as a typed value (PROTOCOL section 6): octets in, profile and warnings out.
//!
//! A file that is damaged is refused with the place, what stands there and what was expected; an element that is unknown or
//! not supported is a warning, never a refusal. Values of settings that this client obeys must be of their type; values of
//! settings that it does not obey only warn.

mod client;
mod error;
mod host;
mod position;
pub mod schema;
mod settings;
mod trusted;
mod value;
mod xml;

pub use client::*;
pub use error::{ErrorKind, ProfileError, Warning, WarningKind};
pub use host::{HostEntry, NotUsable, Pin};
pub use position::{Lines, Position};
pub use settings::Setting;
pub use value::*;

use schema::{ROOT, Spec};
use xml::Node;

/// The namespace of the root element.
pub const NAMESPACE: &str = "http://schemas.xmlsoap.org/encoding/";
/// Largest file that is read, bytes.
pub const MAX_SIZE: usize = 1 << 20;
/// Deepest nesting of elements.
pub const MAX_DEPTH: usize = 32;
/// Most warnings that are kept; the rest is counted.
pub const MAX_WARNINGS: usize = 100;

/// An AnyConnect profile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    /// What holds for every host.
    pub client: ClientInitialization,
    /// The gateways, in the order of the file.
    pub hosts: Vec<HostEntry>,
    settings: Vec<Setting>,
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// The first damage in the order of the file: larger than [`MAX_SIZE`], not UTF-8, not well-formed, a document type
    /// definition, text where an element must stand, nesting deeper than [`MAX_DEPTH`], a value outside its type in a
    /// setting that is obeyed, a host without a name.
    pub fn parse(octets: &[u8]) -> Result<(Self, Vec<Warning>), ProfileError> {
        let (root, mut warnings) = xml::read(octets)?;
        let top = At { spec: &ROOT, node: Some(&root) };
        let client = ClientInitialization::new(top.child("ClientInitialization"));
        let hosts = host::read_all(top.child("ServerList"), &client, &mut warnings)?;
        if hosts.is_empty() {
            warnings.push(Warning { at: root.at, kind: WarningKind::NoHost });
        }
        Ok((Self { client, hosts, settings: settings::list(&root) }, warnings))
    }

    /// The host of this HostName (letter case does not count); of two with the same name the first.
    pub fn host(&self, name: &str) -> Option<&HostEntry> {
        self.hosts.iter().find(|host| host.name.eq_ignore_ascii_case(name.trim()))
    }

    /// Every setting of the file and every default, in the order of the schema, hosts last.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The lines of the log's "Current Preference Settings": name and value, in the seed's order (the part that the seed
    /// leaves out in the order of the schema).
    pub fn preference_settings(&self) -> Vec<(&'static str, String)> {
        settings::preferences(&self.settings)
    }
}

/// A place in the schema, and the element of the file that stands there, if any.
#[derive(Clone, Copy)]
struct At<'n> {
    spec: &'static Spec,
    node: Option<&'n Node>,
}

impl<'n> At<'n> {
    /// The element `name` inside; the schema must have it.
    fn child(self, name: &str) -> Self {
        let spec = self.spec.child(name);
        debug_assert!(spec.is_some(), "the schema has no {name} in {}", self.spec.name);
        let spec = spec.unwrap_or(&schema::NOTHING);
        Self { spec, node: self.node.and_then(|node| node.child(name)) }
    }

    /// Every element `name` inside, in the order of the file.
    fn children(self, name: &'static str) -> impl Iterator<Item = &'n Node> {
        let inside = self.node.map(|node| node.children.as_slice()).unwrap_or_default();
        inside.iter().filter(move |node| node.spec.name == name)
    }

    /// The setting; the schema's default where the file does not set it.
    fn preference<T: Value>(self) -> Preference<T> {
        let set = self.node.filter(|node| !node.text.is_empty());
        let text = set.map_or(self.spec.default.unwrap_or(""), |node| &node.text);
        Preference {
            value: T::read(text).unwrap_or_default(),
            user_controllable: self
                .node
                .and_then(|node| node.user_controllable)
                .or(self.spec.user_controllable)
                .unwrap_or(false),
            set: set.map(|node| node.at),
        }
    }

    /// The value alone.
    fn value<T: Value>(self) -> T {
        self.preference().value
    }

    /// The value, only where the file sets it.
    fn set_value<T: Value>(self) -> Option<T> {
        let preference = self.preference();
        preference.set.is_some().then_some(preference.value)
    }

    /// The texts of every element `name` inside.
    fn texts(self, name: &'static str) -> Vec<String> {
        self.children(name).map(|node| node.text.clone()).filter(|text| !text.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests;
