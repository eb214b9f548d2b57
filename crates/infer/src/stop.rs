//! Stop strings: text ends before the first of them, and what may become one is held back until that is decided.

/// Text on its way out, watched for stop strings.
#[derive(Clone, Debug)]
pub struct StopStrings {
    stops: Vec<String>,
    /// Text that could be the beginning of a stop string.
    held: String,
}

impl StopStrings {
    /// Watches for these; empty ones are ignored.
    pub fn new(stops: impl IntoIterator<Item = String>) -> Self {
        StopStrings { stops: stops.into_iter().filter(|s| !s.is_empty()).collect(), held: String::new() }
    }

    /// Takes more text. Gives out what is certain, and whether a stop string was completed: the text then ends before
    /// it. How a text is cut into pieces makes no difference: the stop string completed first counts, of several
    /// completed at once the longest.
    pub fn push(&mut self, text: &str) -> (String, bool) {
        let mut text = std::mem::take(&mut self.held) + text;
        let found = self.stops.iter().filter_map(|s| text.find(s.as_str()).map(|start| (start + s.len(), start)));
        if let Some((_, start)) = found.min() {
            text.truncate(start);
            return (text, true);
        }
        let held = self.stops.iter().map(|stop| overlap(&text, stop)).max().unwrap_or(0);
        self.held = text.split_off(text.len() - held);
        (text, false)
    }

    /// Ends the text: what was held back was no stop string after all.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Bytes at the end of `text` that are the beginning of `stop`, but not all of it.
fn overlap(text: &str, stop: &str) -> usize {
    let ends = stop.char_indices().map(|(at, _)| at).rev();
    ends.into_iter().find(|at| text.ends_with(&stop[..*at])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (Vec<String>, bool) {
        let mut watch = StopStrings::new(stops.iter().map(|s| s.to_string()));
        let mut out = Vec::new();
        for piece in pieces {
            let (text, stopped) = watch.push(piece);
            out.push(text);
            if stopped {
                return (out, true);
            }
        }
        out.push(watch.finish());
        (out, false)
    }

    #[test]
    fn text_is_cut_and_held_back() {
        type Case = (&'static [&'static str], &'static [&'static str], &'static [&'static str], bool);
        let cases: [Case; 9] = [
            (&[], &["a", "b"], &["a", "b", ""], false),
            (&[""], &["a"], &["a", ""], false),
            (&["END"], &["xE", "N", "Dy"], &["x", "", ""], true),
            (&["END"], &["xE", "N", "Ey"], &["x", "", "ENEy", ""], false),
            (&["END"], &["xE", "N"], &["x", "", "EN"], false),
            (&["aab"], &["aaa", "b"], &["a", ""], true),
            (&["abcd", "bc"], &["xabcd"], &["xa"], true),
            (&["abc", "bc"], &["xabc"], &["x"], true),
            (&["\u{1f600}!"], &["é\u{1f600}", "?"], &["é", "\u{1f600}?", ""], false),
        ];
        for (stops, pieces, expected, stopped) in cases {
            assert_eq!(run(stops, pieces), (expected.iter().map(|s| s.to_string()).collect(), stopped), "{stops:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            text in "[abé]{0,24}",
            stops in prop::collection::vec("[abé]{1,4}", 0..4),
            cuts in prop::collection::vec(0usize..24, 0..8),
        ) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let chars: Vec<char> = text.chars().collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(chars.len())).collect();
            cuts.extend([0, chars.len()]);
            cuts.sort();
            let pieces: Vec<String> = cuts.windows(2).map(|w| chars[w[0]..w[1]].iter().collect()).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let (out, stopped) = run(&stops, &pieces);
            let out = out.concat();
            prop_assert_eq!((out.clone(), stopped), {
                let (whole, stopped) = run(&stops, &[&text]);
                (whole.concat(), stopped)
            });
            prop_assert!(stops.iter().all(|s| !out.contains(s)));
            prop_assert!(text.starts_with(&out) && (stopped || out == text));
        }
    }
}
