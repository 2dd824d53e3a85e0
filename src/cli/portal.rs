//! `ikeep portal`.

use super::output::printable;
use super::{Error, Exit, help, output, runtime};
use crate::config::{Places, parse_duration};
use crate::ipc::helper::MAX_GAP;
use crate::ipc::{Client, Reply, Request};

/// What `ikeep portal` takes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::PORTAL)]
pub(super) struct Command {
    /// How long the way past the tunnel is open at most (90s, 5m; 10m at most); without it, as the profile says
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    time: Option<u16>,
    /// Close it
    #[arg(long, conflicts_with = "time")]
    close: bool,
}

/// Whole seconds, as many as a gap may have.
fn seconds(text: &str) -> Result<u16, String> {
    let wrong = || format!("expected a time from 1s to {MAX_GAP}s, such as 90s or 5m");
    let seconds = parse_duration(text).ok_or_else(wrong)?.as_secs();
    u16::try_from(seconds).ok().filter(|seconds| (1..=MAX_GAP).contains(seconds)).ok_or_else(wrong)
}

impl Command {
    pub(super) fn run(self) -> Result<Exit, Error> {
        let places = Places::of_user()?;
        let request = if self.close { Request::CloseGap } else { Request::OpenGap { seconds: self.time } };
        let text = runtime::block_on(async {
            let mut client = Client::connect(&places).await?;
            client.send(&request).await?;
            loop {
                match client.recv().await? {
                    Reply::Gap { seconds, location } => return Ok(told(seconds, location.as_deref())),
                    Reply::Done => return Ok("The way past the tunnel is closed.\n".to_owned()),
                    Reply::Failed(failure) => return Err(Error::Refused(failure)),
                    _ => {}
                }
            }
        })?;
        output::print(&text)?;
        Ok(Exit::Done)
    }
}

/// For people.
fn told(seconds: u16, location: Option<&str>) -> String {
    let page = location.map_or_else(|| "any page that begins with http://".to_owned(), printable);
    let minutes = seconds / 60;
    let time = if seconds.is_multiple_of(60) { format!("{minutes} min") } else { format!("{seconds} s") };
    format!(
        "For {time} your programs reach this network past the tunnel. Log in with a browser now: {page}\n\
         What they send meanwhile is not protected. The tunnel comes back by itself, and this way is closed then.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_as_long_as_people_write_it_and_not_too_long() {
        assert_eq!(seconds("5m"), Ok(300));
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("600s"), seconds("10m"));
        for wrong in ["", "5", "0s", "500ms", "601s", "1h", "-5m"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_portal_says_of_itself_does_no_harm_on_a_terminal() {
        let text = told(300, Some("http://login.test/\u{1b}[2J"));
        assert!(text.starts_with("For 5 min ") && !text.contains('\u{1b}'), "{text:?}");
        assert!(told(90, None).starts_with("For 90 s "));
    }
}
