//! Tokens from an emulator of AWS that others wrote: moto, which `scripts/moto` installs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::case::{Resource, passwords, source};
use super::ecr::{controller, login, target};
use crate::controller::case::Case;
use crate::wait::{soon, until};
use crate::webhook::{Process, on_free_ports};

/// Its server on a port of this machine; ended when dropped.
struct Moto {
    process: Process,
    url: String,
}

impl Moto {
    #[track_caller]
    fn new() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/moto");
        let output = Command::new(script).output().expect("scripts/moto can be run");
        let python = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        on_free_ports(|[port, _]| {
            let address = format!("127.0.0.1:{port}");
            let mut command = Command::new(&python);
            command.args(["-m", "moto.server", "--host", "127.0.0.1", "--port", port]);
            let mut process = Process::spawn(command, &[], address.clone());
            until("an answer of moto", || match process.ended() {
                Some(status) => Some(Err(format!("moto ended with {status}: {}", process.log()))),
                None => models(&process).map(|_| Ok(())),
            })?;
            Ok(Self { process, url: format!("http://{address}") })
        })
    }

    /// The roles for which it gave keys, by `AssumeRole`.
    fn roles(&self) -> BTreeSet<String> {
        let models = models(&self.process).expect("moto answers");
        let keys = models["iam"]["AccessKey"].as_array().cloned().unwrap_or_default();
        keys.iter().filter_map(|key| key["role_arn"].as_str()).map(str::to_owned).collect()
    }
}

/// What moto tells of itself.
fn models(moto: &Process) -> Option<Value> {
    let answer = moto.get("/moto-api/data.json")?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

/// Its tokens name the account for which they are given: with a role, that of the role. All of them ended in 2015, so that no
/// resource with one of them can be `Ready`. They are spread all the same, as what is best of what there is.
#[test]
fn tokens_of_moto_are_those_of_keys_and_roles() {
    let case = Case::new();
    let moto = Moto::new();
    let role = |account: &str| format!("arn:aws:iam::{account}:role/puller");
    source(&case.home, "other", &[("a.example", "1")]);
    login(&case, "keys", &json!({}));
    let accounts = ["111111111111", "222222222222"];
    for account in accounts {
        login(&case, account, &json!({"accountID": account, "roleArn": role(account)}));
    }
    let space = case.home.sibling();
    let resource = Resource::new(&case, &["other", "keys", accounts[0], accounts[1]], &target(&[&space]));
    let controller = controller(&case, &moto.url);

    // 123456789012 is the account of keys that moto does not know.
    let token = |account: &str| {
        (format!("{account}.dkr.ecr.eu-central-1.amazonaws.com"), format!("{account}-auth-token"))
    };
    let mut expected: BTreeMap<_, _> = ["123456789012", accounts[0], accounts[1]].map(token).into();
    expected.insert("a.example".to_owned(), "1".to_owned());
    soon("its tokens in the copy", || {
        resource.copy(&space).filter(|copy| passwords(copy) == expected).map(drop)
    });
    assert_eq!(moto.roles(), accounts.map(role).into());

    let status = resource.is("Failed");
    for (name, expired) in [("other", false), ("keys", true), (accounts[0], true), (accounts[1], true)] {
        let told = status["sourceSecretStatus"][format!("{}.{name}", case.home.name)].as_str();
        let told = told.unwrap_or_default();
        assert_eq!(told.starts_with("Expired"), expired, "{name}: {told}");
    }
    // However often it gives one that has ended, it is not asked without pause.
    let asked = controller.count("pullgate_controller_token_requests_total", &[]);
    assert!((3..=30).contains(&asked), "{asked}");
}
