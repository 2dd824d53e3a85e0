//! `ikeep generate DIR`: man pages and shell completions, made from the command line and the config file as they are.
//! Hidden: packages are built with it.

mod keys;
mod page;

use super::{Cli, Error, Exit};
use crate::netd;
use clap::CommandFactory as _;
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use std::fs;
use std::path::{Path, PathBuf};

/// What `ikeep generate` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// man/ and completions/ are made here
    dir: PathBuf,
    /// The date in the pages, YYYY-MM-DD
    #[arg(long, default_value = "")]
    date: String,
}

impl Command {
    pub(super) fn run(&self) -> Result<Exit, Error> {
        let man = |section: u8| self.dir.join(format!("man/man{section}"));
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        self.pages(&command, &man(1))?;
        let helper = page::of_command(netd::Options::command(), 8, &self.date);
        write(&man(8), "ikeep-netd.8", &helper)?;
        write(&man(5), "ikeep-config.5", &keys::page(&self.date))?;
        let completions = self.dir.join("completions");
        for (shell, name) in [(&Bash as &dyn EnvCompleter, "ikeep"), (&Zsh, "_ikeep"), (&Fish, "ikeep.fish")]
        {
            let mut script = Vec::new();
            let made = shell.write_registration("COMPLETE", "ikeep", "ikeep", "ikeep", &mut script);
            made.map_err(|source| Error::Machine { what: "write a completion script", source })?;
            if shell.name() == "zsh" {
                script.extend(FIRST_TAB.as_bytes());
            }
            write(&completions, name, &String::from_utf8_lossy(&script))?;
        }
        Ok(Exit::Done)
    }

    /// A page for the command, and one for each command below it.
    fn pages(&self, command: &clap::Command, folder: &Path) -> Result<(), Error> {
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            self.pages(below, folder)?;
        }
        let name = command.get_display_name().unwrap_or(command.get_name());
        write(folder, &format!("{name}.1"), &page::of_command(command.clone(), 1, &self.date))
    }
}

/// zsh reads the file as the body of `_ikeep` when Tab is pressed for the first time: that time counts, too.
const FIRST_TAB: &str =
    "\nif [[ ${funcstack[1]} == _ikeep ]]; then\n    _clap_dynamic_completer_ikeep \"$@\"\nfi\n";

fn write(folder: &Path, name: &str, text: &str) -> Result<(), Error> {
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(folder.join(name), text));
    written.map_err(|source| Error::Machine { what: "write what is generated", source })
}

#[cfg(test)]
mod tests;
