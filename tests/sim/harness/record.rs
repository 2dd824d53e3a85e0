//! What happened: a tape of every datagram that can be played again, and a history for a failed case.

use super::network::Parcel;
use super::world::World;
use std::time::Duration;

/// One seed that was asked for tells what happened before it failed.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("IKEEP_SIM_SEED").is_some() {
            eprintln!("{}", self.history());
        }
    }
}

impl World {
    /// Puts it on the tape, where there is one.
    pub(super) fn record(&mut self, parcel: &Parcel) {
        self.tape.iter_mut().for_each(|tape| tape.push(parcel.clone()));
    }

    /// Sends something that was recorded once more; it arrives in a moment, at the laptop on its present path.
    pub(crate) fn play(&mut self, mut parcel: Parcel) {
        if let Parcel::ToLaptop { laptop, path, from, .. } = &mut parcel {
            let Some(present) = self.laptops[*laptop].paths().to(from.ip()) else { return };
            *path = present;
        }
        self.network.arrive(self.now.at + Duration::from_millis(1), parcel);
    }

    /// What happened, for a failed case.
    pub(crate) fn history(&self) -> String {
        let mut text = String::new();
        for laptop in self.laptops.iter().take(3) {
            let from = laptop.events.len().saturating_sub(60);
            for (at, event) in &laptop.events[from..] {
                text.push_str(&format!("{at:?} {event:?}\n"));
            }
            if let Some(client) = &laptop.client {
                text.push_str(&format!("status {:?}\n", client.status(self.now.at)));
                text.push_str(&format!("next {:?}\n", client.poll_timeout()));
            }
        }
        for site in &self.sites {
            text.push_str(&format!("gateway {:?}\n", site.gateway.counters()));
        }
        text.push_str(&format!("now {:?}\n", self.now.at));
        text
    }
}
