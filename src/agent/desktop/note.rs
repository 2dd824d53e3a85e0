//! The words of a notification. They name the gateway as the profile does and nothing else of the company: a lock screen may
//! show them.

/// Longest name of a host that is shown, characters.
const MAX_HOST: usize = 64;

/// What a notification is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    /// Only a login goes on.
    LoginNeeded,
    /// The gateway has ended the session.
    SessionEnded,
    /// It was out of reach for longer than it keeps a session.
    WindowOver,
    /// Whoever answered as the gateway could not prove to be it.
    Untrusted,
    /// The network wants a log-in in a browser first.
    Portal {
        /// `ikeep portal` has to open the way there past the tunnel.
        behind_tunnel: bool,
    },
    /// No connection for long, although there is a network.
    NoAnswer,
}

/// A notification.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// What it is about.
    pub about: About,
    host: String,
}

impl Note {
    /// About the gateway with this HostName.
    pub fn new(about: About, host: &str) -> Self {
        let host: String = host.trim().chars().filter(|c| !c.is_control()).take(MAX_HOST).collect();
        Self { about, host: if host.is_empty() { "the VPN".to_owned() } else { host } }
    }

    /// One line.
    pub fn summary(&self) -> &'static str {
        match self.about {
            About::LoginNeeded => "VPN: a login is needed",
            About::SessionEnded | About::WindowOver => "VPN: the session has ended",
            About::Untrusted => "VPN: the gateway was not believed",
            About::Portal { .. } => "VPN: this network wants a log-in first",
            About::NoAnswer => "VPN: no connection",
        }
    }

    /// What happened and what to do. `markup`: for a desktop that reads markup in it.
    pub fn body(&self, markup: bool) -> String {
        let host = &self.host;
        let text = match self.about {
            About::LoginNeeded => {
                format!("The connection to {host} does not come back by itself. Log in with: ikeep connect")
            }
            About::SessionEnded => {
                format!("{host} does not know the session any more. Log in again with: ikeep connect")
            }
            About::WindowOver => format!(
                "{host} was out of reach for longer than it keeps a session. Log in again with: ikeep connect"
            ),
            About::Untrusted => format!(
                "Whoever answers as {host} in this network cannot prove to be it, and was told nothing. Try another network; \
                 if it is the same there, tell your help desk."
            ),
            About::Portal { behind_tunnel: false } => format!(
                "Open any page that begins with http:// in a web browser and log in to the network. {host} comes back by itself \
                 after that."
            ),
            About::Portal { behind_tunnel: true } => format!(
                "Open the way to it with: ikeep portal. Then log in to the network in a web browser; {host} comes back by itself \
                 after that."
            ),
            About::NoAnswer => format!(
                "There is a network, but {host} cannot be reached. It is tried again and again; where the way stops is told by: \
                 ikeep doctor"
            ),
        };
        if markup { escaped(&text) } else { text }
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_name_is_neither_markup_nor_endless_nor_nothing() {
        let note = Note::new(About::SessionEnded, "<a href='x'>A&B</a>\u{1b}\n");
        assert!(note.body(true).starts_with("&lt;a href='x'&gt;A&amp;B&lt;/a&gt; does not"), "{note:?}");
        assert!(note.body(false).starts_with("<a href='x'>A&B</a> does not"), "{note:?}");
        let long = Note::new(About::WindowOver, &"x".repeat(5000));
        assert!(long.body(true).len() < 200);
        assert!(Note::new(About::NoAnswer, " ").body(true).contains("the VPN cannot be reached"));
    }
}
