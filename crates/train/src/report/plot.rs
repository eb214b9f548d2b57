//! Curves over the steps of a run, as inline SVG that needs no script.
//!
//! The drawing stretches with the page and its text does not: places along x are percentages, and the curves lie in an
//! inner SVG whose stretching leaves the stroke alone. A plot is thus as legible on a phone as on paper.

use super::{
    curve::{Point, extremes, quantile},
    numbers::{counted, significant, whole},
    ticks::{Axis, Scale},
};
use maud::{Markup, html};
use std::fmt::Write;

/// Columns that a curve is thinned to; wider than most screens show.
const COLUMNS: usize = 500;

/// Places at which the reader can point.
const READOUTS: usize = 100;

/// Marks drawn; more would be a band.
const MARKS: usize = 60;

/// Units of the inner drawing.
const DRAWING: (f64, f64) = (2000.0, 500.0);

/// A figure with curves, points and reference lines.
pub(super) struct Plot<'a> {
    /// Unique on the page.
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    /// What the vertical axis counts.
    pub(super) unit: &'a str,
    /// What is to be seen, for those who cannot see it.
    pub(super) about: String,
    /// In pixels.
    pub(super) height: u32,
    /// Steps from left to right.
    pub(super) steps: (f64, f64),
    pub(super) scale: Scale,
    /// Whether the axis begins at 0 (where it is linear).
    pub(super) from_zero: bool,
    pub(super) series: Vec<Series<'a>>,
    pub(super) marks: Vec<Mark>,
    pub(super) levels: Vec<Level>,
    /// Steps and what is said there.
    pub(super) readouts: Vec<(f64, String)>,
}

/// A curve.
pub(super) struct Series<'a> {
    /// Class in the style sheet.
    pub(super) class: &'a str,
    /// Name in the legend; without one it is not there.
    pub(super) name: &'a str,
    pub(super) points: Vec<Point>,
}

/// A single point, with what is said of it.
pub(super) struct Mark {
    pub(super) at: Point,
    pub(super) title: String,
}

/// A horizontal line.
pub(super) struct Level {
    pub(super) value: f64,
    pub(super) label: String,
}

impl Plot<'_> {
    pub(super) fn render(&self) -> Markup {
        let (mut x, y) = (Axis::new(self.steps.0, self.steps.1, Scale::Linear, 5), self.vertical());
        x.ticks.retain(|(step, _)| step.fract() == 0.0);
        for (step, label) in &mut x.ticks {
            *label = whole(*step as u64);
        }
        let height = f64::from(self.height);
        let down = |value: f64| format!("{:.1}", (1.0 - y.place(value)) * height);
        let across = |step: f64| format!("{:.2}%", x.place(step) * 100.0);
        let gaps = self.gaps();
        html! {
            figure .plot {
                figcaption {
                    h3 id={ (self.id) "-title" } { (self.title) }
                    @for series in self.series.iter().filter(|series| !series.name.is_empty()) {
                        span .key { i .{ "swatch " (series.class) } {} (series.name) }
                    }
                    @for level in &self.levels { span .key { i .swatch.level {} (level.label) } }
                }
                svg .axes role="img" aria-labelledby={ (self.id) "-title" } aria-describedby={ (self.id) "-about" }
                    width="100%" height=(self.height) {
                    desc id={ (self.id) "-about" } { (self.about) }
                    text .unit x="-48" y="-13" { (self.unit) }
                    @for (value, label) in &y.ticks {
                        line .grid x1="0" x2="100%" y1=(down(*value)) y2=(down(*value)) {}
                        text .ty x="-8" y=(down(*value)) dy="0.32em" { (label) }
                    }
                    line .base x1="0" x2="100%" y1=(height) y2=(height) {}
                    text .ty x="-8" y=(height + 16.0) { "step" }
                    @for (value, label) in &x.ticks {
                        line .base x1=(across(*value)) x2=(across(*value)) y1=(height) y2=(height + 4.0) {}
                        text .{ "tx" @if x.place(*value) > 0.97 { " last" } } x=(across(*value)) y=(height + 16.0) {
                            (label)
                        }
                    }
                    @for level in &self.levels {
                        line .level x1="0" x2="100%" y1=(down(level.value)) y2=(down(level.value)) {}
                    }
                    svg width="100%" height=(self.height) viewBox={ "0 0 " (DRAWING.0) " " (DRAWING.1) }
                        preserveAspectRatio="none" overflow="visible" aria-hidden="true" {
                        @for series in &self.series {
                            path .{ "curve " (series.class) } d=(path(&extremes(&series.points, COLUMNS), &x, &y)) {}
                        }
                    }
                    @for (series, point) in self.series.iter().filter_map(|series| Some((series, single(&series.points)?))) {
                        circle .{ "point " (series.class) } cx=(across(point.0)) cy=(down(point.1)) r="3" {}
                    }
                    @for step in &gaps {
                        text .gap x=(across(*step)) y="12" { "×" }
                    }
                    @if !self.readouts.is_empty() { (self.strips(&x)) }
                    @for mark in self.marked() {
                        circle .mark cx=(across(mark.at.0)) cy=(down(mark.at.1)) r="3.5" { title { (mark.title) } }
                    }
                }
                @if let Some(note) = self.note(&y, &gaps) { p .note { (note) } }
            }
        }
    }

    fn values(&self) -> impl Iterator<Item = f64> + Clone {
        let curves = self.series.iter().flat_map(|series| series.points.iter().map(|point| point.1));
        curves.chain(self.marks.iter().map(|mark| mark.at.1)).filter(|value| value.is_finite())
    }

    /// The vertical axis: over all values, but for the rare ones that would flatten everything else.
    fn vertical(&self) -> Axis {
        let values = self.values().chain(self.levels.iter().map(|level| level.value));
        let positive = self.scale == Scale::Logarithmic;
        let values = values.filter(|value| !positive || *value > 0.0);
        let (low, high) = values
            .clone()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return Axis::new(f64::NAN, f64::NAN, Scale::Linear, 4);
        }
        let about = (self.height / 45).max(3) as usize;
        if positive {
            return Axis::new(low / 1.1, high * 1.1, Scale::Logarithmic, about);
        }
        let usual = quantile(values, 0.98).unwrap_or(high);
        let high = if high - usual > 10.0 * (usual - low) && usual > low { usual + (usual - low) } else { high };
        let low = if self.from_zero { low.min(0.0) } else { low };
        let margin = (high - low) * 0.05;
        Axis::new(if low == 0.0 { 0.0 } else { low - margin }, high + margin, Scale::Linear, about)
    }

    /// Steps at which a curve is no number, no more of them than can be told apart.
    fn gaps(&self) -> Vec<f64> {
        let span = (self.steps.1 - self.steps.0).max(f64::MIN_POSITIVE) / 60.0;
        let bad = |series: &Series| -> Vec<f64> {
            series.points.iter().filter(|point| !point.1.is_finite()).map(|point| point.0).collect()
        };
        let mut gaps: Vec<f64> = self.series.iter().flat_map(bad).collect();
        gaps.sort_by(f64::total_cmp);
        gaps.dedup_by(|later, kept| *later - *kept < span);
        gaps
    }

    /// What the picture leaves out.
    fn note(&self, y: &Axis, gaps: &[f64]) -> Option<String> {
        let beyond: Vec<f64> = self.values().filter(|value| *value > y.high).collect();
        let mut notes = Vec::new();
        if !beyond.is_empty() {
            let highest = beyond.iter().copied().fold(f64::MIN, f64::max);
            let count = counted(beyond.len() as u64, "value");
            notes.push(format!("Above the plot: {count}, the highest {}.", significant(highest, 3)));
        }
        if !gaps.is_empty() {
            notes.push("× marks steps whose value is not a number.".into());
        }
        if self.marks.len() > MARKS {
            notes.push(format!("{} points, {MARKS} of them marked.", whole(self.marks.len() as u64)));
        }
        (!notes.is_empty()).then(|| notes.join(" "))
    }

    /// The marks, or an even choice of them with the last.
    fn marked(&self) -> impl Iterator<Item = &Mark> {
        let shown = self.marks.len().min(MARKS);
        let chosen = (1..=shown).map(move |at| &self.marks[at * self.marks.len() / shown - 1]);
        chosen.filter(|mark| mark.at.1.is_finite())
    }

    /// Strips over the plot that say a value while the pointer is on them.
    fn strips(&self, x: &Axis) -> Markup {
        let count = self.readouts.len();
        let chosen: Vec<&(f64, String)> =
            (0..count.min(READOUTS)).map(|at| &self.readouts[at * count / count.min(READOUTS)]).collect();
        let place = |at: usize| x.place(chosen[at].0) * 100.0;
        let middle = |at: usize| (place(at) + place(at + 1)) / 2.0;
        html! {
            g .readouts aria-hidden="true" {
                @for at in 0..chosen.len() {
                    @let from = if at == 0 { 0.0 } else { middle(at - 1) };
                    @let to = if at + 1 == chosen.len() { 100.0 } else { middle(at) };
                    g {
                        rect x=(format_args!("{from:.1}%")) width=(format_args!("{:.1}%", to - from)) height=(self.height) {}
                        @let x = format!("{:.1}%", place(at));
                        line x1=(x) x2=(x) y2=(self.height) {}
                        text x="100%" y="-13" { (chosen[at].1) }
                    }
                }
            }
        }
    }
}

/// The point of a curve that has no other.
fn single(points: &[Point]) -> Option<&Point> {
    let mut finite = points.iter().filter(|point| point.1.is_finite());
    finite.next().filter(|_| finite.next().is_none())
}

/// A curve in the units of the drawing, broken where there is no number.
fn path(points: &[Point], x: &Axis, y: &Axis) -> String {
    let mut path = String::new();
    let mut pen: Option<(i64, i64)> = None;
    for point in points {
        if !point.1.is_finite() {
            pen = None;
            continue;
        }
        let to = ((x.place(point.0) * DRAWING.0).round() as i64, ((1.0 - y.place(point.1)) * DRAWING.1).round() as i64);
        match pen {
            None => write!(path, "M{} {}h0", to.0, to.1), // a point alone is then a dot
            Some(from) => write!(path, "l{} {}", to.0 - from.0, to.1 - from.1),
        }
        .expect("writing to a string");
        pen = Some(to);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<Point>) -> Plot<'static> {
        Plot {
            id: "p",
            title: "Loss <of it>",
            unit: "nats",
            about: "falls".into(),
            height: 100,
            steps: (0.0, 10.0),
            scale: Scale::Linear,
            from_zero: false,
            readouts: points.iter().map(|point| (point.0, format!("at {}", point.0))).collect(),
            series: vec![Series { class: "raw", name: "raw", points }],
            marks: vec![Mark { at: (5.0, 2.0), title: "a & b".into() }],
            levels: vec![Level { value: 1.5, label: "level".into() }],
        }
    }

    #[test]
    fn a_path_breaks_where_there_is_no_number() {
        let axis = Axis::new(0.0, 10.0, Scale::Linear, 4);
        let points = [(0.0, 0.0), (5.0, 10.0), (6.0, f64::NAN), (10.0, 5.0)];
        assert_eq!(path(&points, &axis, &axis), "M0 500h0l1000 -500M2000 250h0");
        assert_eq!(path(&[], &axis, &axis), "");
    }

    #[test]
    fn a_plot_has_axes_legend_description_and_readouts() {
        let text = plot(vec![(0.0, 1.0), (4.0, f64::NAN), (10.0, 3.0)]).render().into_string();
        for part in [
            "Loss &lt;of it&gt;",
            "<desc id=\"p-about\">falls</desc>",
            "aria-describedby=\"p-about\"",
            "<title>a &amp; b</title>",
            "</i>level</span>",
            ">at 10</text>",
            "× marks steps",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn one_wild_value_does_not_flatten_the_rest_and_is_told() {
        let mut points: Vec<Point> = (0..1000).map(|x| (f64::from(x) / 100.0, 2.0 + f64::from(x % 3))).collect();
        points[500].1 = 1e6;
        let plot = plot(points);
        assert!(plot.vertical().high < 10.0);
        assert!(plot.render().into_string().contains("Above the plot: 1 value, the highest 1e6."));
    }

    #[test]
    fn a_plot_of_nothing_finite_still_renders() {
        for points in [vec![], vec![(1.0, f64::NAN)], vec![(1.0, f64::INFINITY)]] {
            let mut plot = plot(points);
            plot.marks.clear();
            plot.levels.clear();
            for scale in [Scale::Linear, Scale::Logarithmic] {
                plot.scale = scale;
                assert!(!plot.render().into_string().contains("NaN"));
            }
        }
    }
}
