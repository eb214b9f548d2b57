//! Which tensor on disk holds which part of which parameter.

use crate::config::{Architecture, Config};
use crate::parameters::{Parameter, parameters};

/// A tensor on disk: a contiguous part of a parameter, perhaps with the matrices of its experts transposed.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Name in the file.
    pub name: String,
    /// Shape in the file.
    pub shape: Vec<usize>,
    /// The parameter it belongs to.
    pub parameter: Parameter,
    /// First element in the parameter.
    pub offset: usize,
    /// On disk every [outputs, inputs] matrix of the parameter is [inputs, outputs]: DBRX's w2.
    pub transposed: bool,
}

impl Piece {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True without elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// All tensors of a model on disk, by parameter in the order of [`parameters`].
pub fn pieces(config: &Config) -> Vec<Piece> {
    parameters(config).into_iter().flat_map(|(p, shape)| pieces_of(config, p, &shape)).collect()
}

/// The tensors that hold one parameter.
pub fn pieces_of(config: &Config, parameter: Parameter, shape: &[usize]) -> Vec<Piece> {
    match config.architecture {
        Architecture::Dbrx => vec![dbrx(parameter, shape)],
        Architecture::Mixtral | Architecture::Llama => llama_like(config, parameter, shape),
    }
}

fn dbrx(parameter: Parameter, shape: &[usize]) -> Piece {
    let block = |l: usize, rest: &str| format!("transformer.blocks.{l}.{rest}");
    let (name, transposed) = match parameter {
        Parameter::Embedding => ("transformer.wte.weight".to_string(), false),
        Parameter::AttentionNorm(l) => (block(l, "norm_attn_norm.norm_1.weight"), false),
        Parameter::Qkv(l) => (block(l, "norm_attn_norm.attn.Wqkv.weight"), false),
        Parameter::Output(l) => (block(l, "norm_attn_norm.attn.out_proj.weight"), false),
        Parameter::FfnNorm(l) => (block(l, "norm_attn_norm.norm_2.weight"), false),
        Parameter::Router(l) => (block(l, "ffn.router.layer.weight"), false),
        Parameter::Gate(l) => (block(l, "ffn.experts.mlp.w1"), false),
        Parameter::Up(l) => (block(l, "ffn.experts.mlp.v1"), false),
        Parameter::Down(l) => (block(l, "ffn.experts.mlp.w2"), true),
        Parameter::FinalNorm => ("transformer.norm_f.weight".to_string(), false),
        Parameter::Head => ("lm_head.weight".to_string(), false),
    };
    // The experts of a DBRX are one matrix of E x F rows; w2's rows are its inputs.
    let shape = match (parameter, shape) {
        (Parameter::Gate(_) | Parameter::Up(_), &[e, f, d]) | (Parameter::Down(_), &[e, d, f]) => vec![e * f, d],
        _ => shape.to_vec(),
    };
    Piece { name, shape, parameter, offset: 0, transposed }
}

fn llama_like(config: &Config, parameter: Parameter, shape: &[usize]) -> Vec<Piece> {
    let layer = |l: usize, rest: &str| format!("model.layers.{l}.{rest}.weight");
    let piece = |name: String, shape: &[usize], offset: usize| Piece {
        name,
        shape: shape.to_vec(),
        parameter,
        offset,
        transposed: false,
    };
    let whole = |name: String| vec![piece(name, shape, 0)];
    // Mixtral calls its matrices w1, w3, w2 and has them once an expert; Llama has names, and one of each.
    let expert = |l: usize, mixtral: &str, llama: &str| match config.architecture {
        Architecture::Mixtral => (0..shape[0])
            .map(|e| {
                let name = layer(l, &format!("block_sparse_moe.experts.{e}.{mixtral}"));
                piece(name, &shape[1..], e * shape[1] * shape[2])
            })
            .collect(),
        _ => vec![piece(layer(l, &format!("mlp.{llama}")), &shape[1..], 0)],
    };
    match parameter {
        Parameter::Embedding => whole("model.embed_tokens.weight".into()),
        Parameter::AttentionNorm(l) => whole(layer(l, "input_layernorm")),
        Parameter::Qkv(l) => {
            let (heads, d) = (config.heads(), shape[1]);
            let (q, kv) = (heads.query * heads.width, heads.kv * heads.width);
            vec![
                piece(layer(l, "self_attn.q_proj"), &[q, d], 0),
                piece(layer(l, "self_attn.k_proj"), &[kv, d], q * d),
                piece(layer(l, "self_attn.v_proj"), &[kv, d], (q + kv) * d),
            ]
        }
        Parameter::Output(l) => whole(layer(l, "self_attn.o_proj")),
        Parameter::FfnNorm(l) => whole(layer(l, "post_attention_layernorm")),
        Parameter::Router(l) => whole(layer(l, "block_sparse_moe.gate")),
        Parameter::Gate(l) => expert(l, "w1", "gate_proj"),
        Parameter::Up(l) => expert(l, "w3", "up_proj"),
        Parameter::Down(l) => expert(l, "w2", "down_proj"),
        Parameter::FinalNorm => whole("model.norm.weight".into()),
        Parameter::Head => whole("lm_head.weight".into()),
    }
}

/// Every [rows, columns] matrix in `values` transposed.
pub fn transpose_each(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    for (from, to) in values.chunks(rows * columns).zip(out.chunks_mut(rows * columns)) {
        for r in 0..rows {
            for c in 0..columns {
                to[c * rows + r] = from[r * columns + c];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::preset;

    #[test]
    fn pieces_cover_every_parameter_once() {
        let dbrx = preset("tiny").unwrap();
        let mixtral = Config { architecture: Architecture::Mixtral, ..dbrx.clone() };
        let llama = Config { architecture: Architecture::Llama, n_experts: 1, top_k: 1, ..dbrx.clone() };
        for config in [dbrx, mixtral, llama] {
            for (parameter, shape) in parameters(&config) {
                let mut next = 0;
                for piece in pieces_of(&config, parameter, &shape) {
                    assert_eq!(piece.offset, next, "{}", piece.name);
                    next += piece.len();
                }
                assert_eq!(next, shape.iter().product::<usize>(), "{parameter:?}");
            }
        }
    }

    #[test]
    fn transposing_twice_is_nothing() {
        let values: Vec<f32> = (0..24).map(|i| i as f32).collect();
        assert_eq!(transpose_each(&values, 3, 4)[1], 4.0);
        assert_eq!(transpose_each(&transpose_each(&values, 3, 4), 4, 3), values);
    }
}
