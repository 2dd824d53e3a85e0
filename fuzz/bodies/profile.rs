//! A profile of anybody's: an error says where, and what is read keeps its limits and gives every host a name and an address.

use ikeep::profile::{MAX_SIZE, MAX_WARNINGS, Profile};

/// One input.
pub(crate) fn check(file: &[u8]) {
    match Profile::parse(file) {
        Ok((profile, warnings)) => {
            assert!(file.len() <= MAX_SIZE && warnings.len() <= MAX_WARNINGS + 1);
            for warning in &warnings {
                let text = warning.kind.to_string();
                assert!(text.chars().all(|c| !c.is_control()), "a terminal shows it: {text:?}");
            }
            for host in &profile.hosts {
                assert!(!host.name.is_empty() && !host.address.is_empty());
                assert_eq!(profile.host(&host.name).map(|found| &found.name), Some(&host.name));
            }
            // Comments and a line at the end change nothing.
            let longer = [file, b"\n<!-- seen -->\n"].concat();
            if longer.len() <= MAX_SIZE {
                assert_eq!(Profile::parse(&longer).map(|(profile, _)| profile), Ok(profile));
            }
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() < 2_000, "{text}");
            assert!(text.chars().all(|c| !c.is_control()), "a terminal shows it: {text:?}");
        }
    }
}
