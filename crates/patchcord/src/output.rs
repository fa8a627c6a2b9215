//! What the program prints: results on stdout, everything else on stderr.

use std::io::{self, Write};

/// Prints a result. A reader that has gone away (`patchcord calls | head -1`) is no error.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        tracing::trace!("nobody reads the output any more");
    }
}

/// Prints a result and ends the line.
pub(crate) fn print_line(text: &str) {
    print(&format!("{text}\n"));
}

/// Tells the user something that is not the result.
pub(crate) fn tell(text: &str) {
    // Nobody can be told that stderr is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Shows progress on a terminal: takes the place of the last line that was shown so; an empty one wipes it away.
pub(crate) fn tell_in_place(text: &str) {
    let mut err = io::stderr().lock();
    // ESC [ K: erase to the end of the line.
    let _ = write!(err, "\r\x1b[K{text}").and_then(|()| err.flush());
}

/// Prints a JSON value, indented.
pub(crate) fn print_json(value: &impl serde::Serialize) {
    let text = serde_json::to_string_pretty(value).expect("our own values have string keys and finite numbers");
    print_line(&text);
}
