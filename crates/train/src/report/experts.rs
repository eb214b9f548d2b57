//! How evenly the experts were used.

use super::{
    curve::Point,
    heat,
    metrics::{Metrics, Step},
    numbers::{counted, significant, whole},
    plot::{Level, Plot, Series},
    ticks::Scale,
    training::span,
};
use maud::{Markup, html};

/// Cells of all maps over time together; some 16 bytes each at worst.
const CELLS: usize = 16_000;

/// The most and the fewest times shown in a map.
const TIMES: (usize, usize) = (120, 24);

/// The most maps over time.
const MAPS: usize = 16;

type Loads<'a> = Vec<(&'a Step, &'a [Vec<f32>])>;

/// Loads that are of the shape of the last one, [L][E] with L, E > 0.
fn loads(metrics: &Metrics) -> Loads<'_> {
    let all = metrics.steps.iter().filter_map(|step| Some((step, step.load.as_deref()?)));
    let all: Vec<_> = all.filter(|(_, load)| load.first().is_some_and(|layer| !layer.is_empty())).collect();
    let shape = |load: &[Vec<f32>]| load.iter().map(Vec::len).collect::<Vec<_>>();
    let Some(last) =
        all.last().map(|(_, load)| shape(load)).filter(|last| last.iter().all(|experts| *experts == last[0]))
    else {
        return Vec::new();
    };
    all.into_iter().filter(|(_, load)| shape(load) == last).collect()
}

/// Mean shares [L][E] over some steps.
fn mean(loads: &[(&Step, &[Vec<f32>])]) -> Vec<Vec<f32>> {
    let Some((_, first)) = loads.first() else { return Vec::new() };
    let mut mean: Vec<Vec<f32>> = first.iter().map(|layer| vec![0.0; layer.len()]).collect();
    for (_, load) in loads {
        for (sum, share) in mean.iter_mut().flatten().zip(load.iter().flatten()) {
            *sum += share / loads.len() as f32;
        }
    }
    mean
}

/// The last tenth of the recorded loads.
fn settled<'a, 'b>(loads: &'b Loads<'a>) -> &'b [(&'a Step, &'a [Vec<f32>])] {
    &loads[loads.len() - loads.len().div_ceil(10)..]
}

/// Mean shares [L][E] over the last tenth of the recorded loads; empty where there are none.
pub(super) fn settled_loads(metrics: &Metrics) -> Vec<Vec<f32>> {
    mean(settled(&loads(metrics)))
}

pub(super) fn section(metrics: &Metrics) -> Markup {
    let loads = loads(metrics);
    let end = settled(&loads);
    let shares = mean(end);
    let Some(experts) = shares.first().map(Vec::len) else { return html! {} };
    let top_k = metrics.start().and_then(|start| start.model.top_k);
    let (from, to) = (end[0].0.step, end[end.len() - 1].0.step);
    html! {
        section #experts {
            h2 { "Experts" }
            p .intro {
                "Each token goes to " (top_k.map_or("a few".into(), whole)) " of " (experts) " experts in each of "
                (counted(shares.len() as u64, "layer")) ". "
                (heat::extremes(0, &shares))
            }
            figure .plot {
                figcaption {
                    h3 #load-title { "Load at the end" }
                    span .key { "share of a layer's rows in %, layers down, experts across, " (over(from, to)) }
                }
                (heat::layers("load", &shares))
            }
            (heat::legend())
            (balance(metrics, &loads, experts))
            (over_time(&loads, experts))
        }
    }
}

fn over(from: u64, to: u64) -> String {
    if from == to { format!("step {}", whole(to)) } else { format!("mean of steps {} to {}", whole(from), whole(to)) }
}

/// Loads below this part of balance are drawn here; a logarithmic axis has no place for 0.
const IDLE: f64 = 0.01;

/// The busiest and the idlest expert of all layers, step by step.
fn balance(metrics: &Metrics, loads: &Loads, experts: usize) -> Markup {
    let of = |pick: fn(f64, f64) -> f64, none: f64| -> Vec<Point> {
        let load = |load: &[Vec<f32>]| load.iter().flatten().fold(none, |most, share| pick(most, f64::from(*share)));
        loads.iter().map(|(step, shares)| (step.step as f64, (load(shares) * experts as f64).max(IDLE))).collect()
    };
    let (busiest, idlest) = (of(f64::max, f64::NEG_INFINITY), of(f64::min, f64::INFINITY));
    let floored = idlest.iter().any(|point| point.1 <= IDLE);
    let say = |high: &Point, low: &Point| format!("{} to {} × balance", significant(low.1, 2), significant(high.1, 2));
    let readouts = busiest.iter().zip(&idlest);
    let readouts = readouts.map(|(high, low)| (high.0, format!("step {}: {}", whole(high.0 as u64), say(high, low))));
    let readouts: Vec<_> = readouts.collect();
    let end = busiest.last().zip(idlest.last()).map(|(high, low)| say(high, low)).unwrap_or_default();
    Plot {
        id: "balance",
        title: "Balance over training",
        unit: if floored { "× balanced share; the bottom is 0.01 or less" } else { "× balanced share" },
        about: format!("Load of the busiest and of the idlest expert of any layer; at the end {end}."),
        height: 160,
        steps: span(metrics),
        scale: Scale::Logarithmic,
        from_zero: false,
        readouts,
        series: vec![
            Series { class: "busy", name: "busiest expert", points: busiest },
            Series { class: "idle", name: "idlest expert", points: idlest },
        ],
        marks: Vec::new(),
        levels: vec![Level { value: 1.0, label: "perfect balance".into() }],
    }
    .render()
}

/// A map for each layer, or for as many as fit.
fn over_time(loads: &Loads, experts: usize) -> Markup {
    if loads.len() < 2 {
        return html! {};
    }
    let layers = loads[0].1.len();
    let most = (CELLS / (experts * TIMES.1)).clamp(1, MAPS);
    let shown = least_balanced(&mean(settled(loads)), most);
    let times = (CELLS / (experts * shown.len())).clamp(TIMES.1, TIMES.0).min(loads.len());
    let parts: Vec<Vec<Vec<f32>>> =
        (0..times).map(|at| mean(&loads[at * loads.len() / times..(at + 1) * loads.len() / times])).collect();
    let (first, last) = (loads[0].0.step, loads[loads.len() - 1].0.step);
    let height = (experts * 6).clamp(48, 160);
    html! {
        h3 .apart { "Load over training" }
        p .intro {
            "Experts down, steps " (whole(first)) " to " (whole(last)) " across, in the colours above"
            @if shown.len() < layers { "; the " (shown.len()) " of " (layers) " layers that ended least balanced" }
            "."
        }
        div .grid.maps {
            @for layer in &shown {
                @let id = format!("layer-{layer}");
                @let part: Vec<Vec<f32>> = parts.iter().map(|part| part[*layer].clone()).collect();
                @let about = format!("Load of the experts of layer {layer} over training. {}",
                    heat::extremes(*layer, &parts[parts.len() - 1][*layer..=*layer]));
                figure .plot {
                    figcaption { h4 id={ (id) "-title" } { "Layer " (layer) } }
                    (heat::over_time(&id, &about, &part, height))
                }
            }
        }
    }
}

/// Numbers of the layers whose shares are the farthest from equal, ascending.
fn least_balanced(shares: &[Vec<f32>], most: usize) -> Vec<usize> {
    // Shares add up to 1, so the sum of their squares is least where they are equal.
    let unevenness = |layer: &usize| shares[*layer].iter().map(|share| share * share).sum::<f32>();
    let mut layers: Vec<usize> = (0..shares.len()).collect();
    layers.sort_by(|a, b| unevenness(b).total_cmp(&unevenness(a)));
    layers.truncate(most);
    layers.sort_unstable();
    layers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_balanced_layers_are_chosen() {
        let shares = [vec![0.5, 0.5], vec![0.9, 0.1], vec![0.4, 0.6], vec![0.0, 1.0]];
        for (most, expected) in [(1, vec![3]), (3, vec![1, 2, 3]), (9, vec![0, 1, 2, 3])] {
            assert_eq!(least_balanced(&shares, most), expected);
        }
    }

    #[test]
    fn loads_of_another_shape_than_the_last_are_left_out() {
        let step = |step, load: &str| format!("{{\"kind\":\"step\",\"step\":{step},\"loss\":1,\"load\":{load}}}\n");
        let read = |lines: &[String]| Metrics::read(lines.concat().as_bytes()).unwrap();
        let metrics = read(&[step(1, "[[1.0]]"), step(2, "null"), step(3, "[[0.5,0.5]]"), step(4, "[[0.25,0.75]]")]);
        assert_eq!(loads(&metrics).iter().map(|(step, _)| step.step).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(settled_loads(&metrics), [[0.25, 0.75]]);
        for odd in ["[]", "[[]]", "[[0.5,0.5],[1.0]]"] {
            assert!(section(&read(&[step(1, odd)])).0.is_empty(), "{odd}");
        }
    }
}
