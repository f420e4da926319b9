//! The repository's own commands: `cargo xtask tidy` checks the habits that no lint knows.
//!
//! See `CONTRIBUTING.md` for what they are and why; each module of `tidy` is one of them.

mod repository;
mod tidy;

use std::process::ExitCode;

use repository::Repository;

const USAGE: &str = "usage: cargo xtask tidy";

#[expect(clippy::print_stdout, reason = "a command line tool reports there")]
fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    if command.as_deref() != Some("tidy") {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    let repository = match Repository::read() {
        Ok(repository) => repository,
        Err(error) => {
            eprintln!("the repository can not be read: {error}");
            return ExitCode::FAILURE;
        }
    };
    let findings = tidy::check(&repository);
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} files, {} findings", repository.files.len(), findings.len());
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
