//! YAML of `pullgate mutate`: values are read as `kubectl` reads them, and survive being printed.

use proptest::prelude::*;
use pullgate::offline::yaml::{print, read};
use serde_json::{Map, Value, json};

fn one(text: &str) -> Result<Value, String> {
    let mut documents = read(text);
    assert_eq!(documents.len(), 1, "{text:?} is one document");
    documents.remove(0).value.map_err(|error| error.to_string())
}

fn refusal(text: &str) -> String {
    one(text).expect_err(text)
}

/// What the two versions of YAML, or readers of one version, understand differently.
const CONFUSING: &[&str] = &[
    "",
    " ",
    "~",
    "null",
    "y",
    "n",
    "yes",
    "No",
    "ON",
    "off",
    "true",
    "FALSE",
    "123",
    "0",
    "-0",
    "+1",
    "1.0",
    "1e3",
    "1E3",
    ".5",
    "1_000",
    "0o17",
    "017",
    "0x1f",
    "0b1",
    "08",
    "1:30",
    "1:30:10.5",
    "2024-01-01",
    "2001-12-14 21:59:43.10",
    ".inf",
    "-.INF",
    ".NaN",
    "=",
    "<<",
    "-",
    "- a",
    "--",
    "---",
    "--- a",
    "...",
    "?",
    ": ",
    "a: b",
    "a:",
    "a #b",
    "#",
    "&a",
    "*a",
    "!a",
    "!!int 3",
    "%a",
    "@a",
    "`a`",
    "[a]",
    "{a}",
    "'a'",
    "\"a\"",
    "|",
    ">",
    "a\\nb",
    "a ",
    " a",
    "\t",
    "a\tb",
    "\n",
    "a\n",
    "\na",
    "a\n\n",
    "a\n b\n",
    " a\nb",
    "a \nb",
    "a\n\tb",
    "a\n---\nb",
    "a\n...\n",
    "# a\nb",
    "a\r\nb",
    "a\rb",
    "caf\u{e9}",
    "\u{1f600}",
    "\u{85}",
    "\u{a0}",
    "\u{2028}a\nb",
    "\u{feff}",
    "\u{0}",
    "\u{7f}",
    "\u{fffe}",
    "\u{ffff}",
    "\u{10ffff}",
];

#[test]
fn every_confusing_string_survives_as_value_as_key_and_in_a_list() {
    for text in CONFUSING {
        for value in
            [json!(text), json!([text, [text]]), json!({ *text: { *text: [text, { *text: text }] } })]
        {
            assert_eq!(one_or_null(&print(&value)), value, "{}", print(&value));
        }
    }
}

/// A document that is nothing but null is an empty one.
fn one_or_null(text: &str) -> Value {
    let documents = read(text);
    match documents.as_slice() {
        [] => Value::Null,
        [document] => document.value.clone().expect(text),
        _ => panic!("{text:?} is one document"),
    }
}

fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(CONFUSING).prop_map(str::to_owned),
        any::<String>(),
        proptest::collection::vec(any::<char>(), 0..40).prop_map(String::from_iter),
        // Lines, indentation, indicators.
        proptest::collection::vec(
            proptest::sample::select(&["a", "\n", " ", "- ", ": ", "#", "\t", "'", "\"", "1", "."][..]),
            0..12
        )
        .prop_map(|parts| parts.concat()),
        "[0-9+._xobeE:-]{1,8}",
        (900_usize..1100).prop_map(|length| "k".repeat(length)),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // A float without a fraction is the whole number that JSON makes of it.
        any::<f64>()
            .prop_filter("fraction", |f| f.is_finite() && (f.fract() != 0.0 || f.abs() > 1e19))
            .prop_map(Value::from),
        string().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((string(), inner), 0..5)
                .prop_map(|entries| Value::from(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn whatever_is_printed_is_read_as_the_same_value(value in value()) {
        let text = print(&value);
        prop_assert_eq!(one_or_null(&text), value, "{}", text);
    }

    #[test]
    fn json_is_read_as_the_same_value(value in value(), pretty in any::<bool>()) {
        let object = json!({ "object": value });
        let text = if pretty { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) };
        prop_assert_eq!(one(&text.unwrap()).unwrap(), object);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in string(), more in string()) {
        drop(read(&text));
        drop(read(&format!("a: {text}\nb: &a [{more}]\n---\n{more}")));
    }
}

#[test]
fn scalars_keys_and_tags_are_read_as_kubectl_reads_them() {
    for (text, value) in [
        ("a: [yes, Off, 'yes', \"no\", y]", json!({"a": [true, false, "yes", "no", true]})),
        ("a: [017, 0o17, 0x1F, 1_000, 1e3, 1.0, 1.50]", json!({"a": [15, 15, 31, 1000, 1000, 1, 1.5]})),
        ("a: [2024-01-01, 1:30, 1.2.3, 10Gi]", json!({"a": ["2024-01-01", "1:30", "1.2.3", "10Gi"]})),
        ("a: [18446744073709551615, -9223372036854775808]", json!({"a": [u64::MAX, i64::MIN]})),
        ("a:\nb: ~\nc: ''", json!({"a": null, "b": null, "c": ""})),
        ("on: 1\n1.50: 2\n017: 3\n'1': 4\n1e6: 5", json!({"true": 1, "1.5": 2, "15": 3, "1": 4, "1e+06": 5})),
        (
            "a: !!str 1\nb: !!int '017'\nc: !!float 1\nd: !!binary aGk=\ne: !Ref x\nf: ! 1",
            json!({"a": "1", "b": 15, "c": 1, "d": "hi", "e": "x", "f": "1"}),
        ),
        ("a: |\n  x\n   y\n\nb: >-\n  x\n  y\n", json!({"a": "x\n y\n", "b": "x y"})),
        ("{\"a\":\t\"\\/\\ud83d\\ude00\\u00e9\",\n\t\"b\": 1E2}", json!({"a": "/\u{1f600}\u{e9}", "b": 100})),
    ] {
        assert_eq!(one(text).unwrap(), value, "{text}");
    }
}

/// The parser reports them as soon as any crate of the program asks it to.
#[test]
fn comments_are_no_values_wherever_they_stand() {
    let text =
        "# a\n---\n# b\nlist: # c\n# d\n- 1 # e\n# f\n- x: 2\n  # g\n  z: 3\nflow: [ # h\n  4, # i\n]\n# j\n";
    assert_eq!(one(text), Ok(json!({"list": [1, {"x": 2, "z": 3}], "flow": [4]})));
}

#[test]
fn anchors_aliases_and_merge_keys_work() {
    let text = "\
base: &base {image: nginx, pull: no}
other: &other {image: redis, tty: yes}
one: {<<: *base, image: busybox}
two: {<<: [*other, *base]}
three: {image: kept-as-kubectl-does, <<: *base}
four: [*base, &word text, *word]
*word : key
quoted: {'<<': 1}
";
    let base = json!({"image": "nginx", "pull": false});
    let expected = json!({
        "base": base,
        "other": {"image": "redis", "tty": true},
        "one": {"image": "busybox", "pull": false},
        "two": {"image": "redis", "pull": false, "tty": true},
        "three": {"image": "nginx", "pull": false},
        "four": [base, "text", "text"],
        "text": "key",
        "quoted": {"<<": 1},
    });
    assert_eq!(one(text).unwrap(), expected);
}

#[test]
fn what_cannot_be_read_is_refused_with_its_line() {
    for (text, message) in [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "line 4: duplicate key \"c\""),
        ("{\"a\": 1,\n \"a\": 2}", "line 2: duplicate key \"a\""),
        ("a: .nan", "line 1: JSON has no number for .nan; write it in quotes"),
        ("a: 1\n~: 2", "line 2: null cannot be a key; write it in quotes"),
        ("a: 1\n? [b]\n: 2", "line 2: a sequence cannot be a key; write it in quotes"),
        ("a: !!int many", "line 1: \"many\" is no !!int"),
        ("a: !!binary '%'", "line 1: !!binary is not base64: Invalid symbol 37, offset 0."),
        ("a: 1\n<<: 2", "line 2: `<<` merges a mapping or a sequence of mappings"),
        ("a: &a [*a]", "line 1: an alias stands inside of what it refers to"),
    ] {
        assert_eq!(refusal(text), message, "{text}");
    }
    for (text, start) in
        [("a: 1\nb: *none", "line 2: "), ("a: 1\n\tb: 2", "line "), ("a: [1", "line "), ("a: 'x", "line ")]
    {
        let message = refusal(text);
        assert!(message.starts_with(start), "{text:?}: {message}");
    }
}

#[test]
fn inputs_that_multiply_or_nest_without_end_are_refused() {
    let mut laughs = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for i in 1..12 {
        let aliases = vec![format!("*a{}", i - 1); 9].join(", ");
        laughs = format!("{laughs}a{i}: &a{i} [{aliases}]\n");
    }
    assert!(refusal(&laughs).ends_with("anchors and aliases expand to more than 16 MiB"));
    let text = format!("a: &a {}\nb: [{}]", "x".repeat(1_000_000), vec!["*a"; 1000].join(", "));
    assert!(refusal(&text).ends_with("anchors and aliases expand to more than 16 MiB"));

    let nested = |depth: usize| format!("a: {}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(one(&nested(126)).is_ok());
    assert_eq!(refusal(&nested(127)), "line 1: nests 128 or more levels deep");
    assert!(refusal(&nested(100_000)).starts_with("line 1: "));
    assert!(refusal(&"{\"a\":".repeat(100_000)).starts_with("line 1: "));
    let block: String = (0..5000).flat_map(|i| [" ".repeat(i), "a:\n".to_owned()]).collect();
    assert!(refusal(&block).contains("deep") || refusal(&block).contains("nest"), "{}", refusal(&block));
    let mut chain = String::from("a0: &a0 [x]\n");
    for i in 1..500 {
        chain = format!("{chain}a{i}: &a{i} [*a{}]\n", i - 1);
    }
    assert!(refusal(&chain).ends_with("nests 128 or more levels deep"));
}

#[test]
fn a_bad_document_does_not_hide_the_others() {
    let documents = read("a: 1\n---\nb: [\n---\n# nothing\n---\nc: 3\n");
    let seen: Vec<_> = documents.iter().map(|d| (d.number, d.line, d.value.is_ok())).collect();
    assert_eq!(seen, [(1, 1, true), (2, 2, false), (3, 7, true)]);
}
