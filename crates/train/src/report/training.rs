//! The curves of training.

use super::{
    curve::{Point, trend},
    metrics::{Metrics, Step},
    numbers::{significant, whole},
    plot::{Level, Mark, Plot, Series},
    ticks::Scale,
};
use maud::{Markup, html};

/// Places at which a trend is drawn.
const TREND: usize = 300;

/// A quantity of each step.
struct Quantity {
    id: &'static str,
    title: &'static str,
    unit: &'static str,
    of: fn(&Step) -> Option<f64>,
    /// Noisy ones are drawn faint, with their trend.
    noisy: bool,
    from_zero: bool,
}

const QUANTITIES: [Quantity; 5] = [
    Quantity {
        id: "learning-rate",
        title: "Learning rate",
        unit: "",
        of: |step| step.lr,
        noisy: false,
        from_zero: true,
    },
    Quantity {
        id: "gradient-norm",
        title: "Gradient norm",
        unit: "before clipping",
        of: |step| step.grad_norm,
        noisy: true,
        from_zero: true,
    },
    Quantity {
        id: "throughput",
        title: "Throughput",
        unit: "tokens/s",
        of: |step| step.tokens_per_second,
        noisy: true,
        from_zero: true,
    },
    Quantity {
        id: "aux",
        title: "Load-balancing loss",
        unit: "before its coefficient",
        of: |step| step.aux,
        noisy: true,
        from_zero: false,
    },
    Quantity {
        id: "z",
        title: "Router z loss",
        unit: "before its coefficient",
        of: |step| step.z,
        noisy: true,
        from_zero: true,
    },
];

pub(super) fn section(metrics: &Metrics) -> Markup {
    let steps = span(metrics);
    html! {
        section #training {
            h2 { "Training" }
            (loss(metrics, steps))
            div .grid {
                (validation(metrics, steps))
                @for quantity in &QUANTITIES { (small(metrics, steps, quantity)) }
            }
        }
    }
}

/// Steps that all curves run over.
pub(super) fn span(metrics: &Metrics) -> (f64, f64) {
    let (first, last) = (metrics.steps.first(), metrics.steps.last());
    let (first, last) = (first.map_or(0, |step| step.step) as f64, last.map_or(1, |step| step.step) as f64);
    (if first <= last * 0.1 || first >= last { 0.0 } else { first }, last.max(1.0))
}

fn losses(metrics: &Metrics) -> Vec<Point> {
    metrics.steps.iter().map(|step| (step.step as f64, step.loss)).collect()
}

fn loss(metrics: &Metrics, steps: (f64, f64)) -> Markup {
    let points = losses(metrics);
    let smooth = trend(&points, TREND);
    let validations = metrics.validations.iter().filter_map(|validation| Some((validation, validation.loss?)));
    let marks: Vec<Mark> = validations
        .map(|(validation, loss)| Mark {
            at: (validation.step as f64, loss),
            title: format!("validation after step {}: {} nats per token", whole(validation.step), significant(loss, 4)),
        })
        .collect();
    // What a model that knows nothing pays: the curve of one trained from scratch begins there.
    let vocabulary = metrics.start().and_then(|start| start.model.vocab_size).filter(|size| *size > 1);
    let highest = points.iter().map(|point| point.1).filter(|loss| loss.is_finite()).fold(0.0, f64::max);
    let levels = vocabulary.map(|size| (size, (size as f64).ln())).filter(|(_, value)| highest > 0.8 * value).map(
        |(size, value)| Level {
            value,
            label: format!("guessing blindly among {} tokens: {}", whole(size), significant(value, 3)),
        },
    );
    let ends = smooth.first().zip(smooth.last());
    let about = match ends {
        Some((first, last)) => format!(
            "The smoothed loss goes from {} at step {} to {} at step {}.",
            significant(first.1, 3),
            first.0,
            significant(last.1, 3),
            last.0
        ),
        None => "No step has a finite loss.".into(),
    };
    let readouts = points
        .iter()
        .map(|(step, loss)| {
            let near = smooth.get(smooth.partition_point(|point| point.0 < *step)).or(smooth.last());
            let near = near.map(|point| format!(", smoothed {}", significant(point.1, 4))).unwrap_or_default();
            (*step, format!("step {}: {}{near}", whole(*step as u64), significant(*loss, 4)))
        })
        .collect();
    Plot {
        id: "loss",
        title: "Loss",
        unit: "nats per token",
        about: format!("Cross-entropy of the language model alone, without the router's losses. {about}"),
        height: 260,
        steps,
        scale: Scale::Linear,
        from_zero: false,
        series: vec![
            Series { class: "raw", name: "each logged step", points },
            Series { class: "smooth", name: "smoothed", points: smooth },
            // Its points are the marks.
            Series { class: "mark", name: if marks.is_empty() { "" } else { "validation" }, points: Vec::new() },
        ],
        marks,
        levels: levels.into_iter().collect(),
        readouts,
    }
    .render()
}

fn validation(metrics: &Metrics, steps: (f64, f64)) -> Markup {
    let measured = metrics.validations.iter();
    let points: Vec<Point> =
        measured.filter_map(|validation| Some((validation.step as f64, validation.bits_per_byte?))).collect();
    let Some((first, last)) = points.first().zip(points.last()) else { return html! {} };
    let say = |point: &Point| format!("step {}: {} bits per byte", whole(point.0 as u64), significant(point.1, 4));
    Plot {
        id: "validation",
        title: "Validation",
        unit: "bits per byte",
        about: format!("On documents that are not trained on: {}, {}.", say(first), say(last)),
        height: 130,
        steps,
        scale: Scale::Linear,
        from_zero: false,
        marks: points.iter().map(|point| Mark { at: *point, title: say(point) }).collect(),
        levels: Vec::new(),
        readouts: points.iter().map(|point| (point.0, say(point))).collect(),
        series: vec![Series { class: "validation", name: "", points }],
    }
    .render()
}

fn small(metrics: &Metrics, steps: (f64, f64), quantity: &Quantity) -> Markup {
    let points: Vec<Point> =
        metrics.steps.iter().filter_map(|step| Some((step.step as f64, (quantity.of)(step)?))).collect();
    let Some((first, last)) = points.first().zip(points.last()) else { return html! {} };
    // A curve that is 0 throughout stands for something that is switched off.
    if quantity.noisy && points.iter().all(|point| point.1 == 0.0) {
        return html! {};
    }
    let say = |point: &Point| format!("step {}: {}", whole(point.0 as u64), significant(point.1, 3));
    let positive = points.iter().map(|point| point.1).filter(|value| value.is_finite());
    let (low, high) =
        positive.fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), value| (low.min(value), high.max(value)));
    let wide = quantity.noisy && low > 0.0 && high / low > 50.0;
    let top_k = metrics.start().and_then(|start| start.model.top_k);
    let levels = top_k
        .filter(|_| quantity.id == "aux")
        .map(|top_k| Level { value: top_k as f64, label: format!("perfect balance: {top_k}") });
    let series = match quantity.noisy {
        true => vec![
            Series { class: "smooth", name: "", points: trend(&points, TREND) },
            Series { class: "raw", name: "", points: points.clone() },
        ],
        false => vec![Series { class: "smooth", name: "", points: points.clone() }],
    };
    Plot {
        id: quantity.id,
        title: quantity.title,
        unit: quantity.unit,
        about: format!("From {} to {}.", say(first), say(last)),
        height: 130,
        steps,
        scale: if wide { Scale::Logarithmic } else { Scale::Linear },
        from_zero: quantity.from_zero,
        series: series.into_iter().rev().collect(),
        marks: Vec::new(),
        levels: levels.into_iter().collect(),
        readouts: points.iter().map(|point| (point.0, say(point))).collect(),
    }
    .render()
}
