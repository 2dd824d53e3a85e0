//! What a program's environment says about the proxy.

use crate::config::read_secret;
use crate::tunnel::access::Access;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

/// Never by the proxy: this machine.
const LOCAL: &str = "localhost,127.0.0.1,::1";

/// Who may use the proxy, from the file that `proxy_login` names.
///
/// # Errors
/// For people: what is wrong with the file, and how to mend it.
pub(super) fn access(file: &Path) -> Result<Access, String> {
    let text = read_secret(file)?;
    Access::parse(text.expose()).map_err(|error| format!("{} (proxy_login): {error}", file.display()))
}

/// The variables by which programs find the proxy at `address`; in small letters and in capitals, since either is read by some
/// alone. `login`: the file that `proxy_login` names, whose user and password then stand in them.
///
/// # Errors
/// For people: what is wrong with the file, and how to mend it.
pub fn proxy_variables(
    address: SocketAddr,
    login: Option<&Path>,
) -> Result<Vec<(&'static str, OsString)>, String> {
    let login = login.map(access).transpose()?.map(|access| access.of_url());
    let url = |scheme: &str| {
        let mut url = format!("{scheme}://").into_bytes();
        url.extend_from_slice(login.as_ref().map_or(&[], |login| login.expose()));
        url.extend_from_slice(address.to_string().as_bytes());
        OsString::from_vec(url)
    };
    let (http, socks) = (url("http"), url("socks5h"));
    let mut variables = Vec::new();
    for (names, value) in [
        (["http_proxy", "HTTP_PROXY"], &http),
        (["https_proxy", "HTTPS_PROXY"], &http),
        (["all_proxy", "ALL_PROXY"], &socks),
        (["no_proxy", "NO_PROXY"], &OsString::from(LOCAL)),
    ] {
        variables.extend(names.map(|name| (name, value.clone())));
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn variables_name_the_proxy_and_the_login_of_the_file() {
        let at = "[::1]:1080".parse().unwrap();
        let find = |variables: &[(&str, OsString)], name: &str| {
            variables
                .iter()
                .find(|(one, _)| *one == name)
                .map(|(_, value)| value.to_str().unwrap().to_owned())
        };
        let plain = proxy_variables(at, None).unwrap();
        assert_eq!(find(&plain, "https_proxy").as_deref(), Some("http://[::1]:1080"));
        assert_eq!(find(&plain, "ALL_PROXY").as_deref(), Some("socks5h://[::1]:1080"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("login");
        fs::write(&file, "me:p/w\n").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert!(proxy_variables(at, Some(&file)).unwrap_err().contains("chmod 600"));
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let login = proxy_variables(at, Some(&file)).unwrap();
        assert_eq!(find(&login, "http_proxy").as_deref(), Some("http://me:p%2Fw@[::1]:1080"));
        fs::write(&file, "nobody").unwrap();
        assert!(proxy_variables(at, Some(&file)).unwrap_err().contains("USER:PASSWORD"));
    }
}
