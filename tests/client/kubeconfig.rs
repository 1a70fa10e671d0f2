//! The API server that `scripts/cluster env` names.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::connection::TlsSettings;

/// Where the API server of `KUBECONFIG` is, and how its administrator, who has a client certificate, calls it.
pub(crate) fn api_server() -> Result<(SocketAddr, TlsSettings), String> {
    if std::env::var_os("KUBECONFIG").is_none_or(|config| config.is_empty()) {
        return Err("needs a cluster, and KUBECONFIG is not set".to_owned());
    }
    let shown = Command::new("kubectl").args(["config", "view", "--raw", "--minify", "-o", "json"]).output();
    let shown = shown.map_err(|error| format!("kubectl: {error}"))?.stdout;
    let config: Value = serde_json::from_slice(&shown).map_err(|error| format!("kubectl: {error}"))?;
    let (cluster, user) = (&config["clusters"][0]["cluster"], &config["users"][0]["user"]);
    let server = cluster["server"].as_str().and_then(|server| server.strip_prefix("https://"));
    let address = server.and_then(|server| server.to_socket_addrs().ok()?.next());
    let address = address.ok_or("the kubeconfig names no server as https://HOST:PORT")?;
    let pem = |of: &Value, field: &str| -> Result<String, String> {
        let data = of[field].as_str().ok_or_else(|| format!("the kubeconfig lacks {field}"))?;
        let data = STANDARD.decode(data).map_err(|error| format!("{field}: {error}"))?;
        String::from_utf8(data).map_err(|error| format!("{field}: {error}"))
    };
    let tls = TlsSettings::as_client(
        &pem(cluster, "certificate-authority-data")?,
        &pem(user, "client-certificate-data")?,
        &pem(user, "client-key-data")?,
    );
    Ok((address, tls))
}
