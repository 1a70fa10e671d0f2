//! PURE: what a plain scalar means to `kubectl`.
//!
//! `kubectl` resolves scalars with go-yaml 2
//! (<https://github.com/yaml/go-yaml/blob/v2/resolve.go>): YAML 1.1 without base 60, where dates stay strings.

/// A resolved scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    /// Nothing.
    Null,
    /// `true`, `yes`, `on`, …
    Bool(bool),
    /// A whole number that fits `i64`.
    Signed(i64),
    /// A whole number that only fits `u64`.
    Unsigned(u64),
    /// Any other number; may be infinite or not a number.
    Float(f64),
    /// A string: the text itself.
    Text,
}

/// Resolves the text of a plain scalar.
pub(super) fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Scalar::Float(f64::NEG_INFINITY),
        _ => match text.as_bytes()[0] {
            b'.' => float(text),
            b'0'..=b'9' | b'+' | b'-' => {
                let digits = text.replace('_', "");
                integer(&digits).or_else(|| float(&digits))
            }
            _ => None,
        }
        .unwrap_or(Scalar::Text),
    }
}

/// Go's `ParseInt` with base 0: `0x`, `0o`, `0b` and a leading zero (octal).
fn integer(text: &str) -> Option<Scalar> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    let (digits, radix) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&unsigned[2..], 16),
        [b'0', b'o' | b'O', ..] => (&unsigned[2..], 8),
        [b'0', b'b' | b'B', ..] => (&unsigned[2..], 2),
        [b'0', _, ..] => (&unsigned[1..], 8),
        _ => (unsigned, 10),
    };
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None; // from_str_radix would take another sign
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0_i64.checked_sub_unsigned(magnitude).map(Scalar::Signed);
    }
    match i64::try_from(magnitude) {
        Ok(number) => Some(Scalar::Signed(number)),
        // Go's second attempt takes no sign.
        Err(_) if text.starts_with('+') => None,
        Err(_) => Some(Scalar::Unsigned(magnitude)),
    }
}

/// A decimal number; one that no `f64` can hold stays a string.
fn float(text: &str) -> Option<Scalar> {
    // Rust would also read `infinity`.
    let numeric = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    let number: f64 = if numeric { text.parse().ok()? } else { return None };
    number.is_finite().then_some(Scalar::Float(number))
}

/// A key that is a float, in Go's `'g'` format of 32 bits: `1.5`, `1e+06`.
pub(super) fn float_key(number: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "kubectl does the same")]
    let number = number as f32;
    let scientific = format!("{number:e}");
    match scientific.split_once('e').map(|(digits, exponent)| (digits, exponent.parse::<i32>())) {
        Some((digits, Ok(exponent))) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_resolved_as_kubectl_resolves_them() {
        for (text, meaning) in [
            ("", Scalar::Null),
            ("~", Scalar::Null),
            ("NULL", Scalar::Null),
            ("nULL", Scalar::Text),
            ("yes", Scalar::Bool(true)),
            ("On", Scalar::Bool(true)),
            ("y", Scalar::Bool(true)),
            ("N", Scalar::Bool(false)),
            ("oFF", Scalar::Text),
            ("0", Scalar::Signed(0)),
            ("-0", Scalar::Signed(0)),
            ("+12", Scalar::Signed(12)),
            ("1_000", Scalar::Signed(1000)),
            ("0o17", Scalar::Signed(15)),
            ("017", Scalar::Signed(15)),
            ("-0x10", Scalar::Signed(-16)),
            ("0b101", Scalar::Signed(5)),
            ("0b-1", Scalar::Text),
            ("0x", Scalar::Text),
            ("08", Scalar::Float(8.0)),
            ("9223372036854775807", Scalar::Signed(i64::MAX)),
            ("-9223372036854775808", Scalar::Signed(i64::MIN)),
            ("18446744073709551615", Scalar::Unsigned(u64::MAX)),
            ("18446744073709551616", Scalar::Float(18_446_744_073_709_551_616.0)),
            ("+18446744073709551615", Scalar::Float(18_446_744_073_709_551_616.0)),
            ("1.0", Scalar::Float(1.0)),
            ("1.", Scalar::Float(1.0)),
            (".5", Scalar::Float(0.5)),
            (".5_0", Scalar::Text),
            ("1_0.5", Scalar::Float(10.5)),
            ("1e3", Scalar::Float(1000.0)),
            ("1e999", Scalar::Text),
            ("-.inf", Scalar::Float(f64::NEG_INFINITY)),
            ("infinity", Scalar::Text),
            ("1:30", Scalar::Text),
            ("2024-01-01", Scalar::Text),
            ("10Gi", Scalar::Text),
            ("1.2.3", Scalar::Text),
            ("-", Scalar::Text),
            ("+-1", Scalar::Text),
            ("<<", Scalar::Text),
        ] {
            assert_eq!(resolve(text), meaning, "{text:?}");
        }
        assert!(matches!(resolve(".NaN"), Scalar::Float(number) if number.is_nan()));
    }

    #[test]
    fn float_keys_are_written_as_go_writes_them() {
        for (number, key) in [
            (1.5, "1.5"),
            (1.0, "1"),
            (100_000.5, "100000.5"),
            (1e6, "1e+06"),
            (1.25e-5, "1.25e-05"),
            (0.0001, "0.0001"),
            (-2e30, "-2e+30"),
            (0.0, "0"),
        ] {
            assert_eq!(float_key(number), key);
        }
    }
}
