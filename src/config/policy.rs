//! What admission is decided by.

use super::raw::Values;
use super::read::{Reader, dns_label, dns_subdomain, items, name_pattern};
use crate::image::analysis::analyse;
use crate::image::rules::{Prefix, Rule};
use crate::image::{Parser, RegistryRules};
use crate::names::Names;
use crate::policy::{Mode, Policy, PullPolicy, PullSecrets, ServiceAccounts, StorageClass};

const PARSERS: [(&str, Parser); 2] = [("dot", Parser::Dot), ("distribution", Parser::Distribution)];
const MODES: [(&str, Mode); 2] = [("enforce", Mode::Enforce), ("audit", Mode::Audit)];
const STORAGE_CLASS_MODES: [(&str, bool); 2] = [("default", false), ("force", true)];

pub(super) fn read(values: &Values, read: &mut Reader) -> Policy {
    let Values {
        image_pull_secret,
        image_pull_secret_append,
        force_image_pull_policy,
        image_pull_policy_to_force,
        default_storage_class,
        storage_class_mode,
        exclude_namespaces,
        ..
    } = values;
    let acts = read.choice("MODE", values.mode.as_ref(), Mode::Enforce, &MODES);
    let registries = read_registries(values, read);

    let policies = PullPolicy::ALL.map(|policy| (policy.as_str(), policy));
    let to_force = read.choice(
        "IMAGE_PULL_POLICY_TO_FORCE",
        image_pull_policy_to_force.as_ref(),
        PullPolicy::Always,
        &policies,
    );
    let force = read.boolean("FORCE_IMAGE_PULL_POLICY", force_image_pull_policy.as_ref());

    let append = read.boolean("IMAGE_PULL_SECRET_APPEND", image_pull_secret_append.as_ref());
    let names = read.names("IMAGE_PULL_SECRET", image_pull_secret.as_ref(), dns_subdomain);

    let mode = read.choice("STORAGE_CLASS_MODE", storage_class_mode.as_ref(), false, &STORAGE_CLASS_MODES);
    let class = read.name("DEFAULT_STORAGE_CLASS", default_storage_class.as_ref(), dns_subdomain);
    let class = class.map(|name| StorageClass { name, force: mode });
    let excluded = read.names("EXCLUDE_NAMESPACES", exclude_namespaces.as_ref(), dns_label);

    let service_accounts = read_service_accounts(values, read);

    Policy {
        mode: acts,
        registries,
        pull_policy: force.then_some(to_force),
        pull_secrets: (!names.is_empty()).then_some(PullSecrets { names, append }),
        storage_class: class,
        excluded_namespaces: excluded.into_iter().collect(),
        service_accounts,
    }
}

fn read_service_accounts(values: &Values, read: &mut Reader) -> Option<ServiceAccounts> {
    let secret = read.name(
        "CONFIG_TARGET_IMAGE_PULL_SECRET_NAME",
        values.config_target_image_pull_secret_name.as_ref(),
        dns_subdomain,
    );
    let accounts = values.config_service_accounts.as_ref();
    let patterns = read.names_or("CONFIG_SERVICE_ACCOUNTS", accounts, "default", name_pattern);
    let all = read.boolean("CONFIG_ALL_SERVICE_ACCOUNTS", values.config_all_service_accounts.as_ref());
    let excluded = values.config_exclude_namespaces.as_ref();
    let excluded = read.names_or("CONFIG_EXCLUDE_NAMESPACES", excluded, "kube-system,kube-public", dns_label);
    // What the webhook has no use for: it writes nothing, so nothing of it can fail. The controller puts the Secret
    // where the reference is.
    read.name(
        "CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME",
        values.config_source_image_pull_secret_name.as_ref(),
        dns_subdomain,
    );
    let default = "default".to_owned();
    let namespace = values.config_source_image_pull_secret_namespace.as_ref().or(Some(&default));
    read.name("CONFIG_SOURCE_IMAGE_PULL_SECRET_NAMESPACE", namespace, dns_label);
    read.boolean("CONFIG_IGNORE_SECRET_CREATION_ERROR", values.config_ignore_secret_creation_error.as_ref());
    Some(ServiceAccounts {
        secret: secret?,
        names: if all { Names::All } else { Names::patterns(patterns.iter().map(String::as_str)) },
        excluded_namespaces: excluded.into_iter().collect(),
    })
}

fn read_registries(values: &Values, read: &mut Reader) -> RegistryRules {
    let Values { registry, registry_map, ignored_registries, image_parser, .. } = values;
    let before = read.errors.len();
    let parser = read.choice("IMAGE_PARSER", image_parser.as_ref(), Parser::Dot, &PARSERS);
    let mut fallback = registry.as_ref().and_then(|registry| prefix(read, "REGISTRY", registry, registry));
    read.effective("REGISTRY", registry.as_deref().unwrap_or_default());
    read.effective("REGISTRY_MAP", items(registry_map.as_ref()).collect::<Vec<_>>().join(","));
    read.effective("IGNORED_REGISTRIES", items(ignored_registries.as_ref()).collect::<Vec<_>>().join(","));
    let (mut rules, mut star) = (Vec::new(), None);
    for pair in items(registry_map.as_ref()) {
        let Some((source, target)) = pair.split_once('=').map(|(s, t)| (s.trim(), t.trim())) else {
            read.refuse("REGISTRY_MAP", pair, "is not a pair; accepted: source=target, comma separated");
            continue;
        };
        let target = prefix(read, "REGISTRY_MAP", pair, target);
        if source == "*" {
            if star.is_some() {
                read.refuse("REGISTRY_MAP", pair, "the source `*` is named twice");
            }
            star = target;
        } else if let (Some(source), Some(target)) = (prefix(read, "REGISTRY_MAP", pair, source), target) {
            rules.push(Rule { source, target });
        }
    }
    match (&fallback, star) {
        (Some(registry), Some(star)) if registry.text != star.text => {
            let problem =
                format_args!("its `*` differs from REGISTRY={:?}; accepted: one fallback", registry.text);
            read.refuse("REGISTRY_MAP", &format!("*={}", star.text), problem);
        }
        (None, Some(star)) => fallback = Some(star),
        _ => {}
    }
    let ignored = items(ignored_registries.as_ref())
        .filter_map(|item| prefix(read, "IGNORED_REGISTRIES", item, item))
        .collect();
    let rules = RegistryRules::new(parser, rules, fallback, ignored);
    // Rules that could not all be read would only lead to misleading conflicts.
    if read.errors.len() == before {
        match analyse(&rules) {
            Ok(found) => read.notices.extend(found),
            Err(conflicts) => {
                let map = registry_map.as_deref().unwrap_or_default();
                for conflict in conflicts {
                    read.refuse("REGISTRY_MAP", map, conflict);
                }
            }
        }
    }
    rules
}

fn prefix(read: &mut Reader, variable: &'static str, value: &str, text: &str) -> Option<Prefix> {
    match Prefix::parse(text) {
        Ok(prefix) => Some(prefix),
        Err(problem) => {
            let problem =
                format_args!("{problem}; accepted: host[:port][/path], such as registry.example/hub");
            read.refuse(variable, value, problem);
            None
        }
    }
}
