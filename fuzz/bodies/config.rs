//! A config file: an error names the file and can be shown, and what is read reads the same with a comment at its end. Files that it
//! names are not there.

use ikeep::config::Config;
use std::path::Path;

/// One input.
pub(crate) fn check(octets: &[u8]) {
    // A root that it names would be read.
    if octets.windows(5).any(|part| part == b"roots") {
        return;
    }
    let file = Path::new("/nonexistent/config.toml");
    match Config::parse(octets, file) {
        Ok(config) => {
            let longer = [octets, b"\n# seen\n"].concat();
            let again = Config::parse(&longer, file).expect("a comment is no mistake");
            assert_eq!(format!("{again:?}"), format!("{config:?}"));
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("config.toml"), "{text}");
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "a terminal shows it: {text:?}");
        }
    }
}
