//! The documents and manifests of the controller say what the code does.

use std::collections::BTreeSet;

use pullgate::controller::flags::FLAGS;
use pullgate::controller::settings::{CONTROLLER, VARIABLES};

use crate::docs::{code, codes, read, root, tables};

/// Lines of the deployment script's list of a name, without what follows their first word.
fn listed(script: &str, name: &str) -> BTreeSet<String> {
    let list = script.split(&format!("cat <<{name}\n")).nth(1).unwrap();
    let list = list.split(&format!("\n{name}\n")).next().unwrap();
    list.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn the_table_of_settings_has_every_variable_with_its_flag_and_default() {
    let (text, certificates) = (read("docs/pull-secrets.md"), read("docs/certificates.md"));
    let (_, mut rows) = tables(&text, "| variable | flag | unless set |").remove(0);
    rows.append(&mut tables(&certificates, "| variable | flag | unless set |").remove(0).1);
    let documented: BTreeSet<_> = rows.iter().map(|row| code(row[0])).collect();
    assert_eq!(documented, VARIABLES.iter().copied().collect());
    for row in &rows {
        let variable = code(row[0]);
        let flag = FLAGS.iter().find(|flag| flag.variable == variable);
        let names = flag.iter().flat_map(|flag| std::iter::once(&flag.name).chain(flag.also));
        let names: BTreeSet<_> = names.map(|name| format!("-{name}")).collect();
        assert_eq!(codes(row[1]), names.iter().map(String::as_str).collect(), "{variable}");
        let help = flag.map(|flag| flag.help).unwrap_or_default();
        if let Some((_, default)) = help.split_once("[default: ") {
            assert!(row[2].contains(default.trim_end_matches(']')), "{variable}: {row:?}");
        }
    }
}

#[test]
fn other_names_are_documented_as_they_are_read() {
    let text = read("docs/pull-secrets.md").replace('\n', " ");
    for (other, own) in CONTROLLER.aliases {
        assert!(text.contains(&format!("`{other}` as `{own}`")), "{other}");
    }
}

#[test]
fn the_deployment_script_knows_the_controllers_variables_and_their_other_names() {
    let script = read("deployment/generate-certs-and-config.sh");
    let mut taken = listed(&script, "CONTROLLER_SETTINGS");
    taken.append(&mut listed(&script, "CERTIFICATES_SETTINGS"));
    // Credentials are not for manifests; the others are about how it is run, which the manifests decide.
    let left: BTreeSet<_> = VARIABLES.iter().copied().filter(|variable| !taken.contains(*variable)).collect();
    let expected = [
        // A parameter of the script, from which these follow; the manifests have the defaults of the others.
        "CERTIFICATES",
        "CERTIFICATES_CA_FILE",
        "CERTIFICATES_CA_SECRET",
        "CERTIFICATES_CONFIGURATION",
        "CERTIFICATES_NAMES",
        "CERTIFICATES_NAMESPACE",
        "CERTIFICATES_SECRET",
        "CERTIFICATES_SERVICE",
        "PULL_SECRETS",
        "CONFIG_DEBUG",
        "CONFIG_DOCKERCONFIGJSON",
        "CONFIG_DOCKERCONFIGJSONPATH",
        "CONFIG_IGNORE_SECRET_CREATION_ERROR",
        "CONFIG_LOOP_DURATION",
        "CONFIG_RUNNING_IN_CLUSTER",
        "CONFIG_RUNONCE",
        "CONFIG_USE_INFORMERS",
        "ENABLE_LEADER_ELECTION",
        "KUBECONFIG",
        "LEASE_NAME",
        "LEASE_NAMESPACE",
        "METRICS_ADDR",
        "PERIODIC_RECONCILE_INTERVAL",
        "RESOURCE_SELECTOR",
    ];
    assert_eq!(left, BTreeSet::from(expected));
    assert_eq!(taken.len() + left.len(), VARIABLES.len(), "the script takes what is no variable");
    for (other, own) in CONTROLLER.aliases {
        assert!(script.contains(&format!("    ({own}) echo {other} ;;\n")), "{own}");
    }
    assert_eq!(script.matches(") echo CONFIG_").count(), CONTROLLER.aliases.len());
}

#[test]
fn every_right_is_given_for_a_function_that_exists() {
    for template in ["35-controller", "36-resources", "37-certificates"] {
        given_for_functions(&read(&format!("deployment/{template}.yaml.tmpl")));
    }
}

fn given_for_functions(template: &str) {
    let mut rights = 0;
    for line in template.lines() {
        let Some(reason) = line.strip_prefix("  # src/") else { continue };
        let mut names = reason.split_once(": ").unwrap_or_else(|| panic!("{line}")).0.split(", ");
        let path = root().join("src").join(names.next().unwrap());
        let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{line}: {error}"));
        let mut functions = names.peekable();
        assert!(functions.peek().is_some(), "{line} names no function");
        for function in functions {
            assert!(
                source.contains(&format!("fn {function}(")) || source.contains(&format!("fn {function}<")),
                "{line}: {function}"
            );
        }
        rights += 1;
    }
    assert!(rights >= template.matches("\n  - apiGroups: ").count());
}

#[test]
fn the_controllers_manifests_agree_with_its_defaults() {
    let template = read("deployment/35-controller.yaml.tmpl");
    let default = |name: &str| {
        let flag = FLAGS.iter().find(|flag| flag.name == name).unwrap();
        flag.help.split_once("[default: ").unwrap().1.trim_end_matches(']').to_owned()
    };
    assert!(template.contains(&format!("    resourceNames: [{}]\n", default("lease-name"))));
    assert!(template.contains("path: /readyz\n") && template.contains("path: /livez\n"));
    let script = read("deployment/generate-certs-and-config.sh");
    assert!(script.contains(&format!("health_port=${{HEALTH_PORT:-{}}}", default("health-port"))));
    assert!(script.contains(&format!("${{CONFIG_SECRETNAME:-{}}}", default("secretname"))));
    assert!(script.contains(&format!("${{CONFIG_SERVICEACCOUNTS:-{}}}", default("serviceaccounts"))));
    assert!(read("Dockerfile").contains(&format!("EXPOSE {}\n", default("health-port"))));
}
