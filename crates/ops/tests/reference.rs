//! The reference's backward is the derivative of its forward, for every op and shape of the table.

use moeworks_ops::cases::{check_gradients, table};

#[test]
fn gradients_are_finite_differences() {
    let failures: Vec<String> =
        table().iter().flat_map(|c| check_gradients(c.as_ref())).map(|f| f.to_string()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
