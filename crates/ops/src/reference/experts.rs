//! Routing and experts.

use super::linear::{add_outer, times, times_transposed};
use super::{Reference, round};
use crate::ops::{Dispatch, Matrix, Routing};
use crate::tensor::Tensor;
use std::ops::Range;

pub(super) fn route(r: &mut Reference, normalize: bool, x_td: &Tensor, w_ed: &Tensor, routing: &Routing) {
    let (x, w) = (r.get(x_td), r.get(w_ed));
    let (experts, d, top) = (w_ed.dim(0), w_ed.dim(1), routing.chosen_tk.dim(1));
    let logits = times_transposed(&x, &w, d);
    let (mut probs, mut lses, mut chosen, mut weights) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in logits.chunks(experts) {
        let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let lse = most + row.iter().map(|l| (l - most).exp()).sum::<f64>().ln();
        let p: Vec<f64> = row.iter().map(|l| (l - lse).exp()).collect();
        let mut order: Vec<usize> = (0..experts).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a])); // stable: ties go to the lower number
        order.truncate(top);
        let total: f64 = if normalize { order.iter().map(|&e| p[e]).sum() } else { 1.0 };
        weights.extend(order.iter().map(|&e| p[e] / total));
        chosen.extend(order.iter().map(|&e| e as i32));
        probs.extend(p);
        lses.push(lse);
    }
    let mut offsets = vec![0i32];
    let (mut tokens, mut rows) = (Vec::new(), vec![0i32; chosen.len()]);
    for e in 0..experts as i32 {
        for (choice, _) in chosen.iter().enumerate().filter(|(_, c)| **c == e) {
            rows[choice] = tokens.len() as i32;
            tokens.push((choice / top) as i32);
        }
        offsets.push(tokens.len() as i32);
    }
    let load: Vec<f64> = offsets.windows(2).map(|o| f64::from(o[1] - o[0])).collect();
    let mass: Vec<f64> = (0..experts).map(|e| probs.iter().skip(e).step_by(experts).sum()).collect();
    r.set(&routing.probs_te, &probs);
    r.set(&routing.lse_t, &lses);
    r.set_integers(&routing.chosen_tk, &chosen);
    r.set(&routing.dispatch.weights_tk, &weights);
    r.set_integers(&routing.dispatch.offsets_e, &offsets);
    r.set_integers(&routing.dispatch.token_r, &tokens);
    r.set_integers(&routing.dispatch.row_tk, &rows);
    r.set(&routing.load_e, &load);
    r.set(&routing.mass_e, &mass);
}

pub(super) fn route_backward(
    r: &mut Reference,
    normalize: bool,
    dweights_tk: &Tensor,
    x_td: &Tensor,
    w_ed: &Tensor,
    routing: &Routing,
    balance_e: &Tensor,
    z: f64,
    dx_td: &Tensor,
    dw_ed: &Tensor,
) {
    let (dweights, x, w) = (r.get(dweights_tk), r.get(x_td), r.get(w_ed));
    let (probs, lse, balance) = (r.get(&routing.probs_te), r.get(&routing.lse_t), r.get(balance_e));
    let chosen = r.indices(&routing.chosen_tk);
    let (experts, d, top) = (w_ed.dim(0), w_ed.dim(1), routing.chosen_tk.dim(1));
    let mut dlogits = vec![0.0; probs.len()];
    for t in 0..lse.len() {
        let p = &probs[t * experts..(t + 1) * experts];
        let (g, picks) = (&dweights[t * top..(t + 1) * top], &chosen[t * top..(t + 1) * top]);
        let mut dp = balance.clone();
        let total: f64 = if normalize { picks.iter().map(|&e| p[e]).sum() } else { 1.0 };
        // weight_k = p_k / total: the total's own gradient is shared by the chosen.
        let shared: f64 = picks.iter().zip(g).map(|(&e, g)| g * p[e] / total).sum();
        for (&e, g) in picks.iter().zip(g) {
            dp[e] += if normalize { (g - shared) / total } else { *g };
        }
        let mean: f64 = dp.iter().zip(p).map(|(a, b)| a * b).sum();
        for e in 0..experts {
            dlogits[t * experts + e] = p[e] * (dp[e] - mean) + z * 2.0 * lse[t] * p[e];
        }
    }
    let mut dw = vec![0.0; w.len()];
    add_outer(&mut dw, &dlogits, &x, experts, d);
    r.add(dx_td, &times(&dlogits, &w, experts, d));
    r.add(dw_ed, &dw);
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

/// The rows of every expert, and the token of every row.
fn rows_of(r: &mut Reference, dispatch: &Dispatch) -> (Vec<Range<usize>>, Vec<usize>) {
    let offsets = r.indices(&dispatch.offsets_e);
    (offsets.windows(2).map(|o| o[0]..o[1]).collect(), r.indices(&dispatch.token_r))
}

/// Rows `range` of a token array, gathered.
fn gather(x: &[f64], d: usize, tokens: &[usize]) -> Vec<f64> {
    tokens.iter().flat_map(|&t| x[t * d..(t + 1) * d].to_vec()).collect()
}

pub(super) fn gate_up(
    r: &mut Reference,
    x_td: &Tensor,
    w: &Matrix,
    dispatch: &Dispatch,
    kept: Option<(&Tensor, &Tensor)>,
    h_rf: &Tensor,
) {
    let (f, d) = (w.shape.outputs, w.shape.inputs);
    let (x, weight) = (r.get_as(w.shape.dtype, x_td), r.weight(w));
    let (experts, tokens) = rows_of(r, dispatch);
    let (gate, up) = weight.split_at(weight.len() / 2);
    let (mut g, mut u) = (Vec::new(), Vec::new());
    for (e, rows) in experts.iter().enumerate() {
        let x = gather(&x, d, &tokens[rows.clone()]);
        g.extend(times_transposed(&x, &gate[e * f * d..(e + 1) * f * d], d));
        u.extend(times_transposed(&x, &up[e * f * d..(e + 1) * f * d], d));
    }
    let h: Vec<f64> = g.iter().zip(&u).map(|(g, u)| silu(*g) * u).collect();
    if let Some((g_rf, u_rf)) = kept {
        r.set(g_rf, &g);
        r.set(u_rf, &u);
    }
    r.set(h_rf, &h);
}

pub(super) fn gate_up_backward(
    r: &mut Reference,
    dg_rf: &Tensor,
    du_rf: &Tensor,
    x_td: &Tensor,
    w: &Matrix,
    dispatch: &Dispatch,
    dx_td: &Tensor,
    dgate_efd: &Tensor,
    dup_efd: &Tensor,
) {
    let (f, d) = (w.shape.outputs, w.shape.inputs);
    let (dg, du) = (r.get_as(w.shape.dtype, dg_rf), r.get_as(w.shape.dtype, du_rf));
    let (x, weight) = (r.get_as(w.shape.dtype, x_td), r.weight(w));
    let (experts, tokens) = rows_of(r, dispatch);
    let (gate, up) = weight.split_at(weight.len() / 2);
    let (mut dgate, mut dup, mut dx) = (vec![0.0; gate.len()], vec![0.0; up.len()], vec![0.0; x.len()]);
    for (e, rows) in experts.iter().enumerate() {
        let (hidden, matrix) = (rows.start * f..rows.end * f, e * f * d..(e + 1) * f * d);
        let gathered = gather(&x, d, &tokens[rows.clone()]);
        add_outer(&mut dgate[matrix.clone()], &dg[hidden.clone()], &gathered, f, d);
        add_outer(&mut dup[matrix.clone()], &du[hidden.clone()], &gathered, f, d);
        let from_gate = times(&dg[hidden.clone()], &gate[matrix.clone()], f, d);
        let from_up = times(&du[hidden], &up[matrix], f, d);
        for (row, &t) in tokens[rows.clone()].iter().enumerate() {
            for i in 0..d {
                dx[t * d + i] += from_gate[row * d + i] + from_up[row * d + i];
            }
        }
    }
    r.set(dx_td, &dx);
    r.add(dgate_efd, &dgate);
    r.add(dup_efd, &dup);
}

pub(super) fn down(
    r: &mut Reference,
    h_rf: &Tensor,
    w: &Matrix,
    dispatch: &Dispatch,
    residual_td: &Tensor,
    y_td: &Tensor,
) {
    let (d, f) = (w.shape.outputs, w.shape.inputs);
    let (h, weight, mut y) = (r.get(h_rf), r.weight(w), r.get(residual_td));
    let (weights, rows) = (r.get(&dispatch.weights_tk), r.indices(&dispatch.row_tk));
    let (experts, _) = rows_of(r, dispatch);
    let out: Vec<f64> = experts
        .iter()
        .enumerate()
        .flat_map(|(e, rows)| {
            times_transposed(&h[rows.start * f..rows.end * f], &weight[e * d * f..(e + 1) * d * f], f)
        })
        .map(|v| round(w.shape.dtype, v))
        .collect();
    let top = dispatch.row_tk.dim(1);
    for (choice, &row) in rows.iter().enumerate() {
        for i in 0..d {
            y[choice / top * d + i] += weights[choice] * out[row * d + i];
        }
    }
    r.set(y_td, &y);
}

pub(super) fn down_backward(
    r: &mut Reference,
    dy_td: &Tensor,
    w: &Matrix,
    dispatch: &Dispatch,
    g_rf: &Tensor,
    u_rf: &Tensor,
    h_rf: &Tensor,
    dweights_tk: &Tensor,
    dw_edf: &Tensor,
) {
    let (d, f) = (w.shape.outputs, w.shape.inputs);
    let (dy, weight, g, u) = (r.get_as(w.shape.dtype, dy_td), r.weight(w), r.get(g_rf), r.get(u_rf));
    let (weights, rows_tk) = (r.get(&dispatch.weights_tk), r.indices(&dispatch.row_tk));
    let (experts, tokens) = rows_of(r, dispatch);
    let h: Vec<f64> = g.iter().zip(&u).map(|(g, u)| silu(*g) * u).collect();
    let mut weight_of_row = vec![0.0; tokens.len()];
    for (choice, &row) in rows_tk.iter().enumerate() {
        weight_of_row[row] = weights[choice];
    }
    let weighted: Vec<f64> =
        h.iter().enumerate().map(|(i, h)| round(w.shape.dtype, weight_of_row[i / f] * h)).collect();
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let (mut dg, mut du) = (Vec::new(), Vec::new());
    let (mut dot_of_row, mut dw) = (vec![0.0; tokens.len()], vec![0.0; weight.len()]);
    for (e, rows) in experts.iter().enumerate() {
        let matrix = e * d * f..(e + 1) * d * f;
        let dy = gather(&dy, d, &tokens[rows.clone()]);
        // Before its weight, a row's gradient is dy w; its product with h is the weight's gradient.
        let plain = times(&dy, &weight[matrix.clone()], d, f);
        for (i, row) in rows.clone().enumerate() {
            dot_of_row[row] = (0..f).map(|j| plain[i * f + j] * h[row * f + j]).sum();
            for j in 0..f {
                let (dh, g, u) = (weight_of_row[row] * plain[i * f + j], g[row * f + j], u[row * f + j]);
                dg.push(dh * u * (sigmoid(g) + silu(g) * (1.0 - sigmoid(g))));
                du.push(dh * silu(g));
            }
        }
        add_outer(&mut dw[matrix], &dy, &weighted[rows.start * f..rows.end * f], d, f);
    }
    let dweights: Vec<f64> = rows_tk.iter().map(|&row| dot_of_row[row]).collect();
    r.set(h_rf, &weighted);
    r.set(g_rf, &dg);
    r.set(u_rf, &du);
    r.set(dweights_tk, &dweights);
    r.add(dw_edf, &dw);
}
