//! The client's documents: `init`, `auth-reply`, `ack`, in the order of the recorded ones.

use super::super::{Device, EapError, LoginParams};
use super::Writer;
use zeroize::Zeroizing;

/// The text of `<device-id>`.
const PLATFORM: &str = "linux";

/// Begins every document of ours.
fn begin(kind: &str, device: &Device) -> Writer {
    let mut out = Writer::new(kind);
    out.element("version", &[("who", "vpn")], &device.version);
    let attributes = [
        ("computer-name", device.computer_name.as_str()),
        ("device-type", &device.device_type),
        ("platform-version", &device.platform_version),
        ("unique-id", &device.unique_id),
        ("unique-id-global", &device.unique_id_global),
    ];
    out.element("device-id", &attributes, PLATFORM);
    out
}

/// The answer to `hello`, and to a request for a certificate. `opaque`: octets as received, where there were some.
pub(in crate::ike::eap) fn init(
    params: &LoginParams,
    opaque: Option<&[u8]>,
) -> Result<Zeroizing<Vec<u8>>, EapError> {
    let mut out = begin("init", &params.device);
    if let Some(group) = &params.group_access {
        out.element("group-access", &[], group);
    }
    if let Some(opaque) = opaque {
        out.raw(opaque);
    }
    out.finish("\n")
}

/// The answer to a form, or to an `auth-request` that wants none. `opaque`: octets as received. `fields`: element names and
/// values below `<auth>`, in order. `more`: elements after it, those that there are.
pub(in crate::ike::eap) fn auth_reply(
    device: &Device,
    opaque: Option<&[u8]>,
    fields: &[(&str, &str)],
    more: [(&str, Option<&str>); 2],
) -> Result<Zeroizing<Vec<u8>>, EapError> {
    let mut out = begin("auth-reply", device);
    out.empty("session-id", &[]);
    out.empty("session-token", &[]);
    if let Some(opaque) = opaque {
        out.raw(opaque);
    }
    if fields.is_empty() {
        out.empty("auth", &[]);
    } else {
        out.open("auth", &[]);
        for (name, value) in fields {
            out.element(name, &[], value);
        }
        out.close("auth");
    }
    for (name, value) in more {
        if let Some(value) = value {
            out.element(name, &[], value);
        }
    }
    out.finish("\n")
}

/// The answer to `complete`.
pub(in crate::ike::eap) fn ack(device: &Device) -> Result<Zeroizing<Vec<u8>>, EapError> {
    begin("ack", device).finish("\n")
}
