//! The PPK of a gateway.

use super::TargetError;
use crate::config::{Gateway, read_ppk};
use crate::ike::ppk::Ppk;

/// Reads the PPK that the config file names for this gateway, where it names one.
///
/// # Errors
/// Only its name or only its file is there, or it cannot be used. Nobody goes on without what was asked for.
pub(super) fn read(host: &str, gateway: &Gateway) -> Result<Option<Ppk>, TargetError> {
    let wrong = |what: String| TargetError::Ppk { host: host.to_owned(), what };
    match (&gateway.ppk_id, &gateway.ppk_file) {
        (Some(id), Some(file)) => read_ppk(id, file, gateway.ppk_required).map(Some).map_err(wrong),
        (None, None) if !gateway.ppk_required => Ok(None),
        _ => Err(wrong("the config file has to name both, ppk_id and ppk_file".into())),
    }
}
