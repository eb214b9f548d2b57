//! Heat maps of expert load: how far each expert's share is from the share it would have in perfect balance.

use super::numbers::percent;
use maud::{Markup, html};
use std::fmt::Write;

/// Colours on either side of balance.
const SIDE: i32 = 5;

/// One colour for each of these steps in log2 of the load; the outermost begin at a quarter and at four times.
const STEP: f64 = 0.4;

/// Above so many cells a map is drawn without words on the cells.
const WORDED_CELLS: usize = 1024;

/// Columns of the widest map in whose cells numbers fit.
const NUMBERED_COLUMNS: usize = 24;

/// Class of a load in units of balance: -5 starved, 0 balanced, 5 crowded; `None` if it is no number.
pub(super) fn shade(load: f64) -> Option<i32> {
    match load {
        load if load.is_nan() || load < 0.0 => None,
        0.0 => Some(-SIDE),
        load => Some((load.log2() / STEP).round().clamp(f64::from(-SIDE), f64::from(SIDE)) as i32),
    }
}

fn class(shade: i32) -> String {
    match shade {
        ..0 => format!("cold{}", -shade),
        0 => "even".into(),
        _ => format!("hot{shade}"),
    }
}

/// What the colours mean.
pub(super) fn legend() -> Markup {
    html! {
        p .scale {
            "Share of an expert against perfect balance (grey: within about 15\u{a0}% of it):"
            span .ramp {
                span { "≤ ¼ ×" }
                @for shade in -SIDE..=SIDE { i .{ "swatch " (class(shade)) } {} }
                span { "≥ 4 ×" }
            }
        }
    }
}

/// A map of layers (down) by experts (across) of shares.
pub(super) fn layers(id: &str, shares: &[Vec<f32>]) -> Markup {
    let experts = shares.first().map_or(0, Vec::len);
    let row = if shares.len() <= 12 { 26 } else { 14 };
    let height = row * shares.len();
    let every = experts.div_ceil(16).max(1);
    let worded = shares.len() * experts <= WORDED_CELLS;
    let width = 100.0 / experts.max(1) as f64;
    html! {
        svg .axes.map role="img" aria-labelledby={ (id) "-title" } aria-describedby={ (id) "-about" }
            width="100%" height=(height) {
            desc id={ (id) "-about" } { (extremes(0, shares)) }
            @for layer in (0..shares.len()).step_by(shares.len().div_ceil(24).max(1)) {
                text .ty x="-8" y=(layer * row + row / 2) dy="0.32em" { (layer) }
            }
            @for expert in (0..experts).step_by(every) {
                text .tx x=(format_args!("{:.2}%", (expert as f64 + 0.5) * width)) y=(height + 14) { (expert) }
            }
            @if worded {
                @for (layer, shares) in shares.iter().enumerate() {
                    @for (expert, share) in shares.iter().enumerate() {
                        @let load = f64::from(*share) * experts as f64;
                        @if let Some(shade) = shade(load) {
                            @let x = expert as f64 * width;
                            rect .{ "cell " (class(shade)) } x=(format_args!("{x:.3}%")) y=(layer * row)
                                width=(format_args!("{width:.3}%")) height=(row) {
                                title {
                                    "layer " (layer) ", expert " (expert) ": " (percent(f64::from(*share)))
                                    " of the rows, " (format_args!("{load:.2}")) " × balance"
                                }
                            }
                            @if experts <= NUMBERED_COLUMNS && row > 20 {
                                text .{ "number" @if shade.abs() >= 4 { " on-strong" } }
                                    x=(format_args!("{:.2}%", x + width / 2.0)) y=(layer * row + row / 2) dy="0.34em" {
                                    (format_args!("{:.1}", share * 100.0))
                                }
                            }
                        }
                    }
                }
            } @else {
                (cells(shares, experts, height))
            }
        }
    }
}

/// A map of experts (down) by time (across) of one layer: `shares[time][expert]`.
pub(super) fn over_time(id: &str, about: &str, shares: &[Vec<f32>], height: usize) -> Markup {
    let experts = shares.first().map_or(0, Vec::len);
    let rows: Vec<Vec<f32>> = (0..experts).map(|expert| shares.iter().map(|shares| shares[expert]).collect()).collect();
    let row = height as f64 / experts.max(1) as f64;
    html! {
        svg .axes.map role="img" aria-labelledby={ (id) "-title" } aria-describedby={ (id) "-about" }
            width="100%" height=(height) {
            desc id={ (id) "-about" } { (about) }
            @for expert in (0..experts).step_by(experts.div_ceil(4).max(1)) {
                text .ty x="-6" y=(format_args!("{:.1}", (expert as f64 + 0.5) * row)) dy="0.32em" { (expert) }
            }
            (cells(&rows, experts, height))
        }
    }
}

/// Cells without words: one path for each colour, equal neighbours drawn as one, so that a map of thousands of cells
/// takes a few kilobytes. `rows[down][across]`, shares among so many experts.
fn cells(rows: &[Vec<f32>], experts: usize, height: usize) -> Markup {
    let columns = rows.first().map_or(0, Vec::len);
    let mut paths = vec![String::new(); (2 * SIDE + 1) as usize];
    for (down, row) in rows.iter().enumerate() {
        let shades: Vec<Option<i32>> = row.iter().map(|share| shade(f64::from(*share) * experts as f64)).collect();
        let mut across = 0;
        for run in shades.chunk_by(|a, b| a == b) {
            if let Some(shade) = run[0] {
                let length = run.len();
                write!(paths[(shade + SIDE) as usize], "M{across} {down}h{length}v1h-{length}z").expect("to a string");
            }
            across += run.len();
        }
    }
    html! {
        svg .cells width="100%" height=(height) viewBox={ "0 0 " (columns.max(1)) " " (rows.len().max(1)) }
            preserveAspectRatio="none" aria-hidden="true" {
            @for (shade, path) in (-SIDE..=SIDE).zip(&paths).filter(|(_, path)| !path.is_empty()) {
                path .(class(shade)) d=(path) {}
            }
        }
    }
}

/// The busiest and the idlest expert of the layers from `first` on, in words.
pub(super) fn extremes(first: usize, shares: &[Vec<f32>]) -> String {
    let all = || {
        shares.iter().enumerate().flat_map(|(layer, shares)| {
            shares
                .iter()
                .enumerate()
                .filter(|(_, share)| share.is_finite())
                .map(move |(at, share)| (first + layer, at, *share))
        })
    };
    let by_share = |a: &(usize, usize, f32), b: &(usize, usize, f32)| a.2.total_cmp(&b.2);
    let Some((high, low)) = all().max_by(by_share).zip(all().min_by(by_share)) else {
        return "No loads were recorded.".into();
    };
    let say = |(layer, expert, share): (usize, usize, f32)| {
        format!("expert {expert} of layer {layer} with {} of its rows", percent(f64::from(share)))
    };
    let balance = percent(1.0 / shares.first().map_or(1, Vec::len).max(1) as f64);
    format!("Busiest is {}, idlest {}; perfect balance is {balance}.", say(high), say(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_follow_the_ratio_to_balance() {
        for (load, expected) in [
            (1.0, Some(0)),
            (1.14, Some(0)),
            (1.2, Some(1)),
            (0.8, Some(-1)),
            (4.0, Some(5)),
            (100.0, Some(5)),
            (0.25, Some(-5)),
            (0.0, Some(-5)),
            (f64::NAN, None),
            (-1.0, None),
        ] {
            assert_eq!(shade(load), expected, "{load}");
        }
    }

    #[test]
    fn a_small_map_says_every_share_and_a_large_one_stays_small() {
        let small = layers("m", &[vec![0.25, 0.75], vec![0.5, 0.5]]).into_string();
        for part in
            ["layer 0, expert 1: 75\u{a0}% of the rows, 1.50 × balance", ">75.0<", "class=\"cell even\"", "<desc"]
        {
            assert!(small.contains(part), "{part} in {small}");
        }
        let large = layers("m", &vec![vec![1.0 / 64.0; 64]; 40]).into_string();
        assert!(large.len() < 10_000 && large.contains("class=\"even\""), "{} bytes", large.len());
    }

    #[test]
    fn equal_neighbours_are_one_rectangle() {
        let text = over_time("t", "about", &[vec![0.5, 0.5], vec![0.5, 0.5], vec![0.9, 0.1]], 40).into_string();
        for part in ["M0 0h2v1h-2z", "M0 1h2v1h-2z", "class=\"hot2\"", "class=\"cold5\""] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn the_extremes_are_named() {
        let text = extremes(0, &[vec![0.25, 0.75], vec![f32::NAN, 0.1]]);
        assert!(text.starts_with("Busiest is expert 1 of layer 0 with 75\u{a0}%"), "{text}");
        assert!(text.contains("idlest expert 1 of layer 1 with 10\u{a0}%"), "{text}");
        assert_eq!(extremes(0, &[]), "No loads were recorded.");
    }
}
