//! `man`: manual pages, made of what `--help` says.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Command};

pub const EXAMPLES: &str = "\
Examples:
  caller-context man
  caller-context man --dir /usr/local/share/man/man1";

#[derive(Args)]
pub struct ManArgs {
    /// Write caller-context.1 and a page for each verb into this folder
    #[arg(long)]
    dir: Option<PathBuf>,
}

pub fn run(args: &ManArgs, command: Command) -> anyhow::Result<ExitCode> {
    match &args.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
            clap_mangen::generate_to(command, dir).with_context(|| format!("cannot write to {}", dir.display()))?;
        }
        None => clap_mangen::Man::new(command).render(&mut std::io::stdout())?,
    }
    Ok(ExitCode::SUCCESS)
}
