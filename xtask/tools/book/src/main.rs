//! `tidegate-book BOOK INTO`: builds the book whose `book.toml` is in BOOK.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use mdbook_driver::MDBook;

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(book), Some(into)) = (arguments.next(), arguments.next()) else {
        return Err("name the book's folder and the one to build it into".into());
    };
    let mut book = MDBook::load(book).map_err(|error| format!("{error:#}"))?;
    book.config.build.build_dir = std::path::absolute(into)?;
    book.build().map_err(|error| format!("{error:#}"))?;
    Ok(())
}
