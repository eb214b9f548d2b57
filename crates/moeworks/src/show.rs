//! Progress on stderr, results on stdout.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{ErrorKind, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Whether words may have colour.
pub fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::io::stderr().is_terminal()
}

/// A heading on stderr.
pub fn heading(text: &str) {
    if colour() { eprintln!("\x1b[1m{text}\x1b[0m") } else { eprintln!("{text}") }
}

/// A bar on a terminal; elsewhere a plain line every few seconds.
pub struct Progress {
    bar: ProgressBar,
    plain: Option<(Instant, Duration)>,
    quiet: bool,
}

impl Progress {
    /// A bar over `length` units, drawn with a template of indicatif's.
    pub fn new(length: u64, template: &str, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target =
            if quiet || !terminal { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(8) };
        let bar = ProgressBar::with_draw_target(Some(length), target);
        let style = ProgressStyle::with_template(template).expect("a template of ours");
        bar.set_style(style.progress_chars("━╸ "));
        let plain = (!terminal).then(|| (Instant::now(), Duration::from_secs(5)));
        Progress { bar, plain, quiet }
    }

    /// How long the whole is, once that is known.
    pub fn set_length(&mut self, length: u64) {
        self.bar.set_length(length);
    }

    /// Where it stands, with a few words.
    pub fn update(&mut self, position: u64, words: impl Into<String>) {
        let words = words.into();
        self.bar.set_position(position);
        if let Some((last, every)) = &mut self.plain
            && last.elapsed() >= *every
            && !self.quiet
        {
            *last = Instant::now();
            let share = 100 * position / self.bar.length().unwrap_or(1).max(1);
            eprintln!("{share:3}%  {words}");
        }
        self.bar.set_message(words);
    }

    /// A line above the bar.
    pub fn line(&self, text: &str) {
        if self.quiet {
            return;
        }
        if self.plain.is_some() { eprintln!("{text}") } else { self.bar.println(text) }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// This program as it was called.
pub fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "moeworks".into())
}

/// Writes a result to stdout. A reader that has gone away is no error; a full disk is.
pub fn result(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(anyhow::Error::from(e).context("writing to stdout")),
        _ => Ok(()),
    }
}

/// `1234567` as `1.23 M`.
pub fn count(n: u64) -> String {
    let n = n as f64;
    match n {
        _ if n >= 1e9 => format!("{:.2} B", n / 1e9),
        _ if n >= 1e6 => format!("{:.2} M", n / 1e6),
        _ if n >= 1e4 => format!("{:.1} k", n / 1e3),
        _ => format!("{n}"),
    }
}

/// Bytes as `1.2 MB`.
pub fn bytes(n: u64) -> String {
    let n = n as f64;
    match n {
        _ if n >= 1e9 => format!("{:.2} GB", n / 1e9),
        _ if n >= 1e6 => format!("{:.1} MB", n / 1e6),
        _ if n >= 1e3 => format!("{:.1} kB", n / 1e3),
        _ => format!("{n} B"),
    }
}

/// Seconds as `1:23` or `2:03:04`.
pub fn time(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    if s >= 3600 {
        format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
    } else {
        format!("{}:{:02}", s / 60, s % 60)
    }
}

/// Rows as aligned columns: the first left, the others right.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|v| v.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (c, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[c] - cell.chars().count());
            line += &if c == 0 { format!("{cell}{pad}") } else { format!("  {pad}{cell}") };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!((count(999), count(12_345), count(1_234_567)), ("999".into(), "12.3 k".into(), "1.23 M".into()));
        assert_eq!((bytes(10), bytes(2_500_000)), ("10 B".into(), "2.5 MB".into()));
        assert_eq!((time(61.4), time(3723.0)), ("1:01".into(), "1:02:03".into()));
        assert_eq!(table(&[vec!["a".into(), "10".into()], vec!["bcd".into(), "5".into()]]), "a    10\nbcd   5\n");
    }
}
