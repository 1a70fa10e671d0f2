//! PURE: how deep arrays and objects of a JSON text nest, in a fraction of the time that reading it takes.

/// Nesting from which a document is refused, everywhere in it. The parser's own limit does not reach into values
/// that are skipped.
pub(crate) const MAX_DEPTH: usize = 128;

/// Whether arrays and objects nest [`MAX_DEPTH`] deep or deeper.
pub(crate) fn is_too_deep(json: &str) -> bool {
    nests(json, MAX_DEPTH)
}

/// Whether arrays and objects nest `levels` deep or deeper.
pub(crate) fn nests(json: &str, levels: usize) -> bool {
    // A level takes two bytes and an opener; counting these is much cheaper than following them.
    json.len() >= 2 * levels
        && most_levels(json.as_bytes()) >= levels
        && follow_depth(json.as_bytes(), levels)
}

/// How many levels there can be at most: one for each `{` and `[`, in strings too, but for all that are closed at once
/// only one, and none for those before a backslash, which are in strings (`managedFields` is full of both). Written for
/// the compiler's vector instructions.
fn most_levels(json: &[u8]) -> usize {
    // `[` and `]` differ from `{` and `}` in one bit.
    let stays_open =
        |(byte, next): (&u8, &u8)| u8::from(byte | 0x20 == b'{' && next | 0x20 != b'}' && *next != b'\\');
    let in_chunk = |(bytes, next): (&[u8], &[u8])| bytes.iter().zip(next).map(stays_open).sum::<u8>();
    let next = json.get(1..).unwrap_or_default();
    let chunks = json.chunks(usize::from(u8::MAX)).zip(next.chunks(usize::from(u8::MAX)));
    1 + chunks.map(|chunk| usize::from(in_chunk(chunk))).sum::<usize>()
}

fn follow_depth(json: &[u8], levels: usize) -> bool {
    let (mut depth, mut rest) = (0_usize, json);
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'"' => rest = behind_string(tail),
            b'{' | b'[' => {
                depth += 1;
                if depth >= levels {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// What follows a string whose first quote has been read.
fn behind_string(json: &[u8]) -> &[u8] {
    let mut rest = json;
    loop {
        let plain = plain_start(rest);
        match rest.get(plain..) {
            Some([b'"', tail @ ..]) => return tail,
            Some([b'\\', _, tail @ ..]) => rest = tail,
            _ => return &[],
        }
    }
}

/// How many bytes come before the next quote or backslash. Most of a review is in strings, most strings are short:
/// eight bytes at a time are faster than one, and than a search that has to be set up.
fn plain_start(json: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // The highest bit of each byte that is `byte`, and of some behind it.
    let is = |word: u64, byte: u8| {
        let zero = word ^ (ONES * u64::from(byte));
        zero.wrapping_sub(ONES) & !zero & (ONES << 7)
    };
    let (words, rest) = json.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let ends = is(word, b'"') | is(word, b'\\');
        if ends != 0 {
            return i * 8 + ends.trailing_zeros() as usize / 8;
        }
    }
    let plain = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\'));
    words.len() * 8 + plain.count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn depth_counts_only_what_is_outside_of_strings() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(!is_too_deep(&nested(127)));
        assert!(is_too_deep(&nested(128)));
        assert!(!is_too_deep(&format!("\"{}\\\"[\"", "[".repeat(500))));
        assert!(!is_too_deep(&"[]".repeat(500)));
        assert!(is_too_deep(&format!("[\"]]]\\\\\",{}", nested(127))));
        assert!(is_too_deep(&format!("[{}{}", "{},".repeat(500), nested(127))));
        assert!(!is_too_deep(&format!("[\"{}\",{}", "{\\\"".repeat(500), nested(126))));
        assert!(is_too_deep(&format!("[\"{}\",{}", "{\\\"".repeat(500), nested(127))));
        assert!(!is_too_deep(&format!("[{}{}", "{},".repeat(500), nested(126))));
        for length in 0..40 {
            let text = "x".repeat(length);
            assert!(is_too_deep(&format!("[\"{text}\\\"\",{}", nested(127))), "{length}");
            assert!(!is_too_deep(&format!("[\"{text}\\\\\",{}", nested(126))), "{length}");
            assert!(!is_too_deep(&format!("\"{text}\\\"{}\"", nested(500))), "{length}");
        }
    }

    /// The same byte by byte.
    fn followed(json: &str, levels: usize) -> bool {
        let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
        json.bytes().any(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => depth += 1,
                b'}' | b']' if !in_string => depth -= 1,
                _ => {}
            }
            depth >= levels
        })
    }

    fn any_json() -> impl Strategy<Value = String> {
        let text = r#"[a-z{}\[\]"\\ ,:]{0,20}"#;
        let leaf = prop_oneof![Just(Value::Null), text.prop_map(Value::from)];
        let nested = leaf.prop_recursive(12, 200, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((text, inner), 0..6)
                    .prop_map(|members| members.into_iter().collect::<Value>()),
            ]
        });
        nested.prop_map(|value| value.to_string())
    }

    proptest! {
        #[test]
        fn short_cuts_lead_where_the_long_way_does(json in any_json(), levels in 1_usize..16) {
            prop_assert_eq!(nests(&json, levels), followed(&json, levels), "{}", json);
        }
    }
}
