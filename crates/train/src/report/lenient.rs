//! Numbers as training programs write them: JSON has no NaN, so it comes as null or as a word.

use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};
use std::fmt;

/// A number, not a number, or infinite.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figure(pub(super) f64);

impl<'de> Deserialize<'de> for Figure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Lenient;
        impl Visitor<'_> for Lenient {
            type Value = Figure;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a number, null, \"NaN\" or \"inf\"")
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Figure, E> {
                Ok(Figure(value))
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Figure, E> {
                Ok(Figure(value as f64))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Figure, E> {
                Ok(Figure(value as f64))
            }
            fn visit_unit<E: Error>(self) -> Result<Figure, E> {
                Ok(Figure(f64::NAN))
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Figure, E> {
                // Rust reads nan, inf and infinity in any case, with a sign.
                value.parse().map(Figure).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Lenient)
    }
}

pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Figure::deserialize(deserializer).map(|figure| figure.0)
}

/// For a field with a default: absent is `None`, null is not a number.
pub(super) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    number(deserializer).map(Some)
}

/// Shares [L][E]; null is none.
pub(super) fn load<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Vec<f32>>>, D::Error> {
    let layers = Option::<Vec<Vec<Figure>>>::deserialize(deserializer)?;
    Ok(layers.map(|layers| {
        layers.into_iter().map(|layer| layer.into_iter().map(|share| share.0 as f32).collect()).collect()
    }))
}
