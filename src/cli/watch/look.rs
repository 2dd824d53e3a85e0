//! What the terminal can show: colours or not, more than ASCII or not.

use ratatui_core::style::{Color, Modifier, Style};

/// How the picture is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Look {
    /// Colours; else bold and reversed text alone.
    pub(super) colour: bool,
    /// The locale is one of UTF-8; else ASCII alone.
    pub(super) unicode: bool,
}

/// What a text is, for its colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tone {
    Plain,
    /// Names of things, lines between them.
    Quiet,
    /// As it should be.
    Good,
    /// Something is under way, or out of the ordinary.
    Warning,
    /// Something failed.
    Bad,
}

/// Terminals that have no colours, by the beginnings of their names.
const MONOCHROME: [&str; 4] = ["vt", "ansi-m", "xterm-mono", "linux-m"];

impl Look {
    /// As the environment has it; `None` where the terminal cannot show a picture, or does not say what it is.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let terminal = set("TERM").filter(|name| name != "dumb" && name != "unknown")?;
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        let monochrome = MONOCHROME.iter().any(|name| terminal.starts_with(name));
        Some(Self {
            colour: set("NO_COLOR").is_none() && !monochrome,
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        })
    }

    pub(super) fn style(self, tone: Tone) -> Style {
        let colour = match tone {
            Tone::Plain => None,
            Tone::Quiet => Some(Color::Cyan),
            Tone::Good => Some(Color::Green),
            Tone::Warning => Some(Color::Yellow),
            Tone::Bad => Some(Color::Red),
        };
        match colour.filter(|_| self.colour) {
            Some(colour) => Style::new().fg(colour),
            None if tone == Tone::Bad => Style::new().add_modifier(Modifier::BOLD),
            None => Style::new(),
        }
    }

    /// The same as a block, for what is to be seen first.
    pub(super) fn block(self, tone: Tone) -> Style {
        self.style(tone).add_modifier(Modifier::BOLD | Modifier::REVERSED)
    }

    /// Rates as a row of bars, each a character wide, as high as its share of the highest.
    pub(super) fn bars(self, rates: &[u64]) -> String {
        let steps: [char; 8] = if self.unicode {
            ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
        } else {
            ['_', '.', ':', '-', '=', '+', '*', '#']
        };
        let highest = rates.iter().copied().max().unwrap_or(0).max(1);
        let bar = |rate: &u64| {
            let step = u128::from(*rate) * 7 / u128::from(highest);
            // Little is not nothing.
            let step = usize::try_from(step).unwrap_or(7).max(usize::from(*rate > 0));
            steps.get(step).copied().unwrap_or('#')
        };
        rates.iter().map(bar).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(variables: &[(&str, &str)]) -> Option<Look> {
        Look::of(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_says_what_a_terminal_can_show() {
        let full = Some(Look { colour: true, unicode: true });
        assert_eq!(look(&[("TERM", "xterm-256color"), ("LANG", "de_DE.UTF-8")]), full);
        assert_eq!(look(&[("TERM", "screen"), ("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]), full);
        for none in [&[][..], &[("TERM", "")], &[("TERM", "dumb"), ("LANG", "C.UTF-8")]] {
            assert_eq!(look(none), None);
        }
        let ascii = Some(Look { colour: true, unicode: false });
        assert_eq!(look(&[("TERM", "linux")]), ascii);
        assert_eq!(look(&[("TERM", "linux"), ("LC_ALL", "C"), ("LANG", "C.UTF-8")]), ascii);
        let plain = Some(Look { colour: false, unicode: true });
        assert_eq!(look(&[("TERM", "xterm"), ("NO_COLOR", "1"), ("LANG", "C.UTF-8")]), plain);
        assert_eq!(look(&[("TERM", "xterm"), ("NO_COLOR", ""), ("LANG", "C.UTF-8")]), full);
        assert_eq!(look(&[("TERM", "vt220"), ("LANG", "C.UTF-8")]), plain);
    }

    #[test]
    fn bars_show_shares_of_the_highest() {
        let ascii = Look { colour: false, unicode: false };
        assert_eq!(ascii.bars(&[0, 1, 50, 100]), "_.-#");
        assert_eq!(ascii.bars(&[0, 0]), "__");
        assert_eq!(ascii.bars(&[u64::MAX]), "#");
        assert_eq!(Look { unicode: true, ..ascii }.bars(&[0, 100]), "▁█");
    }
}
