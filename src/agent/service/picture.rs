//! What `status --json` and watchers are told.

use super::Service;
use crate::agent::status;
use serde_json::Value;

impl Service {
    /// The picture of `status --json`.
    pub(super) async fn status(&self) -> Value {
        let mut status = self.connection_status().await;
        status["missing"] = self.senses.missing.borrow().iter().map(ToString::to_string).collect();
        // The driver is ahead: with an SA up there is no portal in the way, whoever has not heard of that yet.
        let up = status["state"] == "connected";
        status["portal"] = if up { Value::Null } else { self.portal_status() };
        status["kill_switch"] = self.guard_status().await;
        status
    }

    async fn connection_status(&self) -> Value {
        if let Some(connection) = &self.connection
            && let Some(picture) = connection.picture().await
        {
            let about = status::About {
                settings: &connection.target.settings,
                profile: &connection.target.profile_file.display().to_string(),
                tunnel: connection.tunnel_kind(),
                proxy: connection.proxy(),
                device: connection.laid.device.as_deref(),
                mtu: connection.laid.device_mtu().map(usize::from),
            };
            let mut status = status::json(&picture, about);
            if self.keeping.is_some() || connection.laid.is_under_way() {
                // The driver is ahead: what it says is not announced before the session is kept and the routes are there.
                status["state"] = connection.state.name().into();
            }
            status["profile_change"] = connection.profile_change();
            if let Some(failed) = &connection.laid.failed {
                status["confirmed"] = false.into();
                status["error"] = serde_json::json!({ "code": "network", "message": failed });
            }
            return status;
        }
        let (state, message) = match &self.idle {
            Some(idle) if idle.person_needed => ("auth-required", Some(idle.message.as_str())),
            Some(idle) => ("disconnected", Some(idle.message.as_str())),
            None => ("disconnected", None),
        };
        status::idle(state, message, self.intent.last.as_ref())
    }
}
