//! A man page of a command. What stands below its options in the long help becomes sections.

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// What the pages of a section are called.
fn manual(section: u8) -> &'static str {
    match section {
        5 => "File formats",
        8 => "System administration",
        _ => "User commands",
    }
}

/// The head line of a page that is not made from a command.
pub(super) fn head(roff: &mut Roff, name: &str, section: u8, date: &str) {
    let source = concat!("ikeep ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", [name, &section.to_string(), date, source, manual(section)]);
}

/// The page of a command, whose `after_long_help` is read as [`extras`] says.
pub(super) fn of_command(command: clap::Command, section: u8, date: &str) -> String {
    let long = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string);
    let has_below = command.get_subcommands().any(|below| !below.is_hide_set());
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let man = Man::new(command)
        .section(section.to_string())
        .date(date)
        .source(concat!("ikeep ", env!("CARGO_PKG_VERSION")))
        .manual(manual(section));
    let mut page = Vec::new();
    let parts = [
        Man::render_title,
        Man::render_name_section,
        Man::render_synopsis_section,
        Man::render_description_section,
        Man::render_options_section,
    ];
    for part in parts {
        // Into memory, which takes everything.
        let _ = part(&man, &mut page);
    }
    if has_below {
        let _ = man.render_subcommands_section(&mut page);
    }
    let mut roff = Roff::new();
    extras(&mut roff, &long.unwrap_or_default());
    see_also(&mut roff, &name);
    tidy(&String::from_utf8_lossy(&page)) + &roff.render()
}

/// Vertical space as a macro, and without the line breaks that clap_mangen makes around it, where they are nothing.
fn tidy(page: &str) -> String {
    let lines: Vec<&str> = page.lines().collect();
    let is_space = |at: Option<usize>| at.and_then(|at| lines.get(at)) == Some(&"");
    let mut tidy = String::with_capacity(page.len());
    for (at, line) in lines.iter().enumerate() {
        if *line != ".br" || !(is_space(at.checked_sub(1)) || is_space(Some(at + 1))) {
            tidy.push_str(if line.is_empty() { ".sp" } else { line });
            tidy.push('\n');
        }
    }
    tidy
}

/// A text of the long help: `Title:` alone on a line begins a section, lines that are moved to the right stay as they are,
/// the rest are paragraphs.
fn extras(roff: &mut Roff, text: &str) {
    // Whether a paragraph's macro would be one too many, as after a title.
    let mut fresh = false;
    // Text before the first title belongs below the options, but is not one.
    let mut titled = false;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let next_is_moved = lines.peek().is_some_and(|next| next.starts_with("  "));
        if line.trim().is_empty() {
            continue;
        } else if line.starts_with("  ") {
            roff.control("RS", ["4"]).control("nf", []);
            roff.text([roman(line.get(2..).unwrap_or_default())]);
            while let Some(line) = lines.next_if(|next| next.starts_with("  ")) {
                roff.text([roman(line.get(2..).unwrap_or_default())]);
            }
            roff.control("fi", []).control("RE", []);
            fresh = false;
        } else if let Some(title) = line.strip_suffix(':').filter(|_| next_is_moved && is_title(line)) {
            roff.control("SH", [title.to_uppercase().as_str()]);
            (fresh, titled) = (true, true);
        } else {
            if !titled {
                roff.control("SH", ["NOTES"]);
                (fresh, titled) = (true, true);
            }
            if !fresh {
                roff.control("PP", []);
            }
            roff.text([roman(line)]);
            while let Some(more) = lines.next_if(|next| !next.trim().is_empty() && !next.starts_with("  ")) {
                roff.text([roman(more)]);
            }
            fresh = false;
        }
    }
}

fn is_title(line: &str) -> bool {
    line.starts_with(char::is_uppercase) && line.len() < 40
}

/// Where to read on.
pub(super) fn see_also(roff: &mut Roff, name: &str) {
    let others: Vec<&str> = ["ikeep(1)", "ikeep-config(5)", "ikeep-netd(8)"]
        .into_iter()
        .filter(|other| other.split('(').next() != Some(name))
        .collect();
    roff.control("SH", ["SEE ALSO"]);
    let mut line = Vec::new();
    for (at, other) in others.iter().enumerate() {
        let (page, section) = other.split_at(other.find('(').unwrap_or(other.len()));
        line.extend([bold(page), roman(section)]);
        if at + 1 < others.len() {
            line.push(roman(", "));
        }
    }
    roff.text(line);
}
