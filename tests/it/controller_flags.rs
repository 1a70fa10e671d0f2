//! What is said of flags and variables of `pullgate controller` that cannot be used, or not together.

use crate::controller_settings::{errors, loaded};

/// Each with both names and both values; the same value twice is none.
#[test]
fn two_names_of_one_setting_with_two_values_are_both_named() {
    for (typed, variables, said) in [
        (
            vec!["--config-namespace=a", "-lease-namespace=b"],
            vec![],
            r#"--config-namespace="a": --lease-namespace="b" is the same setting; accepted: one of them"#,
        ),
        (
            vec!["--log.level=debug", "--log-level=info"],
            vec![("LOG_LEVEL", "warn")],
            r#"--log.level="debug": --log-level="info" is the same setting; accepted: one of them"#,
        ),
        (
            vec!["--metrics-addr=0", "-health-port=18155"],
            vec![],
            r#"--metrics-addr="0": and --health-port=18155: these are two ports for one thing; accepted: one of them, or the same port in both"#,
        ),
        (
            vec!["--metrics-addr=:9"],
            vec![("HEALTH_PORT", "8")],
            r#"--metrics-addr=":9": and HEALTH_PORT=8: these are two ports for one thing; accepted: one of them, or the same port in both"#,
        ),
        (
            vec!["--periodic-reconcile-interval=9", "-loop-duration=8s"],
            vec![],
            r#"--periodic-reconcile-interval="9": --loop-duration="8s" is the same setting; accepted: one of them"#,
        ),
        (
            vec!["-dockerconfigjsonpath=/c"],
            vec![("CONFIG_DOCKERCONFIGJSON", r#"{"auths":{}}"#)],
            r#"--dockerconfigjsonpath="/c": is given beside CONFIG_DOCKERCONFIGJSON; accepted: one of them"#,
        ),
    ] {
        assert_eq!(errors(&typed, &variables), [said]);
    }
    for same in [
        ["--config-namespace=a", "-lease-namespace=a"],
        ["--config-namespace=", "-lease-namespace=a"],
        ["--metrics-addr=:8080", "-health-port=8080"],
        ["--periodic-reconcile-interval=90", "-loop-duration=1m30s"],
    ] {
        assert_eq!(errors(&same, &[]), Vec::<String>::new());
    }
    // One name more than once is no second name: the last one counts.
    let last = loaded(&["--config-namespace=a", "--config-namespace=b"], &[]).lease_namespace;
    assert_eq!(last.as_deref(), Some("b"));
    // Nor is a variable, which is what the flag is there to overrule.
    let flag = loaded(&["--config-namespace=a"], &[("LEASE_NAMESPACE", "b")]).lease_namespace;
    assert_eq!(flag.as_deref(), Some("a"));
}

#[test]
fn what_was_typed_is_what_is_named() {
    for (typed, named) in [
        (
            "--metrics-addr=foo",
            r#"--metrics-addr="foo": is no address; accepted: such as :8080, and 0 for none"#,
        ),
        ("-secretname=A", r#"--secretname="A": is not a Kubernetes object name"#),
        ("--log.level=loud", r#"--log.level="loud": is unknown; accepted: trace, debug, info"#),
        ("-log-level=loud", r#"--log-level="loud": is unknown; accepted: trace, debug, info"#),
        ("-loop-duration=1", r#"--loop-duration="1": is no time; accepted: such as 10s"#),
        (
            "--resource-selector=a b",
            r#"--resource-selector="a b": is no label selector, at "a b"; accepted: "#,
        ),
    ] {
        let errors = errors(&[typed], &[("CONFIG_FORCE", "x")]);
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors.iter().any(|error| error.starts_with(named)), "{errors:?}");
        assert!(errors.iter().any(|error| error.starts_with(r#"CONFIG_FORCE="x": "#)), "{errors:?}");
    }
}

/// What the API server takes is taken, as it is.
#[test]
fn label_selectors_are_those_of_the_api_server() {
    for selector in [
        "a",
        "!a",
        " a , ! b\t",
        "a=b",
        "a==b",
        "a = b,c!=d",
        "a=",
        "a!=",
        "a=in",
        "in in (in)",
        "notin",
        "example.com/a_b.C-d=E_f.g-H",
        "a in (b)",
        "a in(b,c),d notin (e)",
        "a in ()",
        "a in (,b)",
        "a>1,b < 2",
    ] {
        let read = loaded(&[], &[("RESOURCE_SELECTOR", selector)]).resource_selector;
        assert_eq!(read.as_deref(), Some(selector));
    }
    assert_eq!(loaded(&[], &[("RESOURCE_SELECTOR", " ")]).resource_selector, None);
    let long = "a".repeat(64);
    for (selector, at) in [
        ("a==b,,(", ""),
        ("a,", ""),
        (",a", ""),
        ("a=b c", "a = b c"),
        ("a===b", "a == = b"),
        ("a=!b", "a = ! b"),
        ("!a=b", "! a = b"),
        ("!", "!"),
        ("=b", "= b"),
        ("ok,a in b", "a in b"),
        ("a in (b", "a in ( b"),
        ("a in b)", "a in b )"),
        ("a in (b c)", "a in ( b c )"),
        ("a in ((b))", "a in ( ( b ) )"),
        ("a>b", "a > b"),
        ("a>-1", "a > -1"),
        ("-a", "-a"),
        ("a=b-", "a = b-"),
        ("a=ü", "a = ü"),
        ("/a", "/a"),
        ("a/", "a/"),
        ("a/b/c", "a/b/c"),
        ("Example.com/a", "Example.com/a"),
        (&*long, &*long),
    ] {
        let errors = errors(&[], &[("RESOURCE_SELECTOR", selector)]);
        let said =
            format!("RESOURCE_SELECTOR={selector:?}: is no label selector, at {at:?}; accepted: key=value, ");
        assert_eq!(errors.len(), 1, "{selector}");
        assert!(errors[0].starts_with(&said), "{errors:?}");
    }
}
