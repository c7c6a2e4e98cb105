//! Exponential and logarithm in plain arithmetic: the same bits on every machine.
//!
//! The platform's `exp` may differ in the last bit between systems; scores and trained weights must not.

/// One over nine, eight, ... one.
const INVERSES: [f64; 9] =
    [1.0 / 9.0, 1.0 / 8.0, 1.0 / 7.0, 1.0 / 6.0, 0.2, 0.25, 1.0 / 3.0, 0.5, 1.0];

/// `e` to the power `x`; the argument is held within ±80.
#[must_use]
pub fn exp(x: f32) -> f32 {
    let x = f64::from(x.clamp(-80.0, 80.0));
    let scaled = x * std::f64::consts::LOG2_E;
    let whole = scaled.floor();
    let rest = (scaled - whole) * std::f64::consts::LN_2;
    // Taylor series of degree nine on [0, ln 2]: error below 1e-9.
    let mut sum = 1.0;
    for inverse in INVERSES {
        sum = 1.0 + sum * rest * inverse;
    }
    let power = f64::from_bits(((whole as i64 + 1023) as u64) << 52);
    (sum * power) as f32
}

/// The natural logarithm of a positive number; a very small one for what is not positive.
#[must_use]
pub fn ln(x: f32) -> f32 {
    let x = f64::from(x.max(f32::MIN_POSITIVE));
    let bits = x.to_bits();
    let exponent = ((bits >> 52) as i64 - 1023) as f64;
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    // ln m = 2 artanh((m - 1) / (m + 1)), which converges fast on [1, 2).
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let mut sum = 0.0;
    for k in (0..12).rev() {
        sum = sum * square + 1.0 / f64::from(2 * k + 1);
    }
    (2.0 * t * sum + exponent * std::f64::consts::LN_2) as f32
}

/// The logistic function.
#[must_use]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_standard_library() {
        for step in -4000..4000 {
            let x = step as f32 / 100.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-5, "exp {x}");
            let positive = x.abs() + 1e-3;
            assert!((ln(positive) - positive.ln()).abs() < 1e-5, "ln {positive}");
        }
    }
}
