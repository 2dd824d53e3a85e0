use super::keys::{EXAMPLE, KEYS, page};
use super::*;
use crate::config::{Config, keys};

#[test]
fn the_page_has_each_key_of_the_config_file_and_no_other() {
    let read: Vec<(&str, &str)> = keys()
        .into_iter()
        .flat_map(|section| section.keys.iter().map(move |key| (section.name, *key)))
        .collect();
    let written: Vec<(&str, &str)> = KEYS.iter().map(|about| (about.section, about.key)).collect();
    for key in &read {
        assert!(written.contains(key), "{key:?} is read, and not in src/cli/generate/keys.rs");
    }
    for key in &written {
        assert!(read.contains(key), "{key:?} is described, and nobody reads it");
    }
    assert_eq!(read.len(), written.len(), "a key is described twice");
    let page = page("2026-01-01");
    for (_, key) in read {
        assert!(page.contains(&key.replace('-', "\\-")), "{key}");
    }
}

#[test]
fn the_example_of_the_page_is_read() {
    Config::parse(EXAMPLE.as_bytes(), Path::new("config.toml")).unwrap();
}

#[test]
fn titles_paragraphs_and_blocks_of_the_help_become_those_of_the_page() {
    let command = clap::Command::new("x").about("Says x").after_long_help(
        "Some words\nof one paragraph.\n\nAnother.\n\nExit status:\n  0  done\n  1  not\n\n.dots 'and \\ are words",
    );
    let page = page::of_command(command, 1, "2026-01-01");
    let expected = ".SH NOTES\nSome words\nof one paragraph.\n.PP\nAnother.\n.SH \"EXIT STATUS\"\n.RS 4\n.nf\n\
                    0  done\n1  not\n.fi\n.RE\n.PP\n\\&.dots \\*(Aqand \\\\ are words\n.SH \"SEE ALSO\"\n";
    assert!(page.contains(expected), "{page}");
}
