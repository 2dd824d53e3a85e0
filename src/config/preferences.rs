//! `[preferences]`: what the user wants otherwise than the profile, where the profile leaves it to the user.

use crate::profile::{AutoReconnectBehavior, ClientInitialization, Preference, Value};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// `[preferences]`: each key is the profile's element of the same name; it counts only where that has UserControllable.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preferences {
    /// AutoReconnect.
    pub auto_reconnect: Option<bool>,
    /// AutoReconnectBehavior.
    #[serde(deserialize_with = "keyword")]
    pub auto_reconnect_behavior: Option<AutoReconnectBehavior>,
    /// AutoConnectOnStart.
    pub auto_connect_on_start: Option<bool>,
    /// DisableCaptivePortalDetection.
    pub disable_captive_portal_detection: Option<bool>,
    /// LocalLanAccess.
    pub local_lan_access: Option<bool>,
}

fn keyword<'de, T: Value, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let value = T::read(&text);
    value
        .map(Some)
        .ok_or_else(|| D::Error::custom(format!("invalid value: {text:?}, expected {}", T::allowed())))
}

impl Preferences {
    /// Puts the wishes in the place of the profile's values. What the profile does not leave to the user stays, and is told.
    pub fn apply(&self, profile: &mut ClientInitialization) -> Vec<String> {
        let mut notes = Vec::new();
        let reconnect = &mut profile.auto_reconnect;
        put(&mut notes, "AutoReconnect", self.auto_reconnect, &mut reconnect.enabled);
        put(&mut notes, "AutoReconnectBehavior", self.auto_reconnect_behavior, &mut reconnect.behavior);
        put(&mut notes, "AutoConnectOnStart", self.auto_connect_on_start, &mut profile.auto_connect_on_start);
        let portal = &mut profile.disable_captive_portal_detection;
        put(&mut notes, "DisableCaptivePortalDetection", self.disable_captive_portal_detection, portal);
        put(&mut notes, "LocalLanAccess", self.local_lan_access, &mut profile.local_lan_access);
        notes
    }
}

fn put<T: PartialEq>(notes: &mut Vec<String>, name: &str, wish: Option<T>, preference: &mut Preference<T>) {
    match wish {
        Some(wish) if preference.user_controllable => preference.value = wish,
        Some(wish) if preference.value != wish => notes.push(format!(
            "the profile does not leave {name} to the user: its value stays, whatever [preferences] says"
        )),
        _ => {}
    }
}
