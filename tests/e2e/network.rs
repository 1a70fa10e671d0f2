//! A network namespace with one address that this machine reaches.

use std::path::Path;
use std::process::Command;

/// A namespace and the pair of interfaces that leads into it; both gone when dropped.
pub(crate) struct Network {
    name: String,
    pub(crate) address: String,
}

impl Network {
    /// Fails the test where that is not possible: a test that was not run has not passed.
    #[track_caller]
    pub(crate) fn new() -> Self {
        let process = std::process::id();
        let name = format!("pge2e{process}");
        // Two addresses of a range that is seldom used, apart for suites that run at the same time.
        let block = format!("10.88.{}", process % 250 + 1);
        let network = Self { name: name.clone(), address: format!("{block}.2") };
        let outside = format!("pg{process}");
        for line in [
            format!("netns add {name}"),
            format!("link add {outside} type veth peer name inside netns {name}"),
            format!("address add {block}.1/30 dev {outside}"),
            format!("link set {outside} up"),
            format!("-n {name} address add {block}.2/30 dev inside"),
            format!("-n {name} link set inside up"),
            format!("-n {name} link set lo up"),
        ] {
            let problem = match Command::new("ip").args(line.split(' ')).output() {
                Ok(ran) if ran.status.success() => continue,
                Ok(ran) => String::from_utf8_lossy(&ran.stderr).into_owned(),
                Err(error) => format!("{error}\n"),
            };
            panic!(
                "not run: `ip {line}`: {problem}A network namespace is needed: Linux, root and iproute2. \
                 Without them leave such tests out by name: cargo test … -- --skip ::the_generated"
            );
        }
        network
    }

    /// A command that becomes `program`, inside.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name)).arg(program);
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The interfaces go with it.
        drop(Command::new("ip").args(["netns", "delete", &self.name]).output());
    }
}
