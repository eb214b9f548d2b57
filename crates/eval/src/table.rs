//! Plain aligned tables for a terminal.

use std::fmt::Write;

/// Rows of cells under a head; the first columns, of words, are aligned to the left, the others to the right.
pub(crate) struct Table {
    words: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(words: usize, head: &[&str]) -> Self {
        Table { words, rows: vec![head.iter().map(|cell| cell.to_string()).collect()] }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table, a line a row, no spaces at line ends.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |c: usize| self.rows.iter().filter_map(|row| row.get(c)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|c| width(c).unwrap_or(0)).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (c, cell) in row.iter().enumerate() {
                let (gap, width) = (if c == 0 { "" } else { "  " }, widths[c]);
                let written = match c < self.words {
                    true => write!(line, "{gap}{cell:<width$}"),
                    false => write!(line, "{gap}{cell:>width$}"),
                };
                written.expect("strings take what is written");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(1, &["name", "n"]);
        table.row(vec!["é".into(), "12".into()]);
        table.row(vec!["long name".into()]);
        assert_eq!(table.render(), "name        n\né          12\nlong name\n");
    }
}
