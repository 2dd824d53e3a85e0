//! What a login says about this machine: honest, and no more than the protocol asks for.

use crate::ike::eap::Device;
use std::fs;

/// Where the kernel says what machine this is.
const MODEL: &str = "/sys/class/dmi/id/product_name";

/// This machine. `unique_id`: a stable random value of ours, hex; it is no serial number of anything.
pub fn device(unique_id: &str) -> Device {
    let name = hostname::get().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let model = fs::read_to_string(MODEL).map(|text| text.trim().to_owned()).unwrap_or_default();
    Device {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        computer_name: if name.is_empty() { "localhost".to_owned() } else { name },
        device_type: if model.is_empty() { "linux".to_owned() } else { model },
        platform_version: rustix::system::uname().release().to_string_lossy().into_owned(),
        unique_id: unique_id.to_owned(),
        unique_id_global: unique_id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_is_empty() {
        let device = super::device("00ff");
        for text in [device.computer_name, device.device_type, device.platform_version, device.version] {
            assert!(!text.is_empty());
        }
        assert_eq!(device.unique_id, "00ff");
    }
}
