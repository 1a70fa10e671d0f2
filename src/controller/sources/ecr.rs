//! Tokens of ECR, by the SDK of AWS. `AWS_ENDPOINT_URL` is obeyed, as by everything that uses it.

use std::error::Error;
use std::iter::successors;
use std::sync::OnceLock;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_ecr::error::ProvideErrorMetadata;
use aws_sdk_ecr::primitives::DateTime;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use k8s_openapi::jiff::Timestamp;
use zeroize::Zeroizing;

use super::login::Identity;
use super::token::{Token, TokenSource};

/// For one attempt; there are more of them, and then the next half of a token's life.
const ATTEMPT: Duration = Duration::from_secs(8);
/// As it appears in the logs of whoever owns the role.
const SESSION: &str = "pullgate";

/// Asks AWS.
#[derive(Default)]
pub struct Ecr {
    /// Made when it is first needed: it reads the certificates of this machine.
    client: OnceLock<aws_sdk_ecr::config::SharedHttpClient>,
}

impl TokenSource for Ecr {
    fn token<'a>(&'a self, identity: &'a Identity) -> BoxFuture<'a, Result<Token, String>> {
        Box::pin(async move {
            let config = self.config(identity).await;
            let (token, expires) =
                if identity.public { public(&config).await? } else { private(&config).await? };
            let token = Zeroizing::new(token.ok_or("there is no token in the answer")?);
            let pair = STANDARD.decode(token.as_bytes()).map(Zeroizing::new).ok();
            let pair = pair.as_ref().and_then(|pair| std::str::from_utf8(pair).ok());
            let (user, password) =
                pair.and_then(|pair| pair.split_once(':')).ok_or("the token is no user and password")?;
            let expires = expires.ok_or("the token has no end")?;
            let expires = Timestamp::from_second(expires.secs()).map_err(|_| "the token's end is no time")?;
            Ok(Token { user: user.to_owned(), password: Zeroizing::new(password.to_owned()), expires })
        })
    }
}

impl Ecr {
    async fn config(&self, identity: &Identity) -> SdkConfig {
        let client = self.client.get_or_init(|| {
            aws_smithy_http_client::Builder::new()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .build_https()
        });
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(client.clone())
            .region(Region::new(identity.region.clone()))
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).build());
        let loader = match &identity.keys {
            Some(keys) => {
                let secret: &str = &keys.secret;
                loader.credentials_provider(Credentials::new(&keys.id, secret, None, None, "Secret"))
            }
            None => loader,
        };
        let config = loader.load().await;
        let Some(role) = &identity.role else { return config };
        let taken = AssumeRoleProvider::builder(role).session_name(SESSION).configure(&config);
        let taken = match config.credentials_provider() {
            Some(own) => taken.build_from_provider(own).await,
            None => taken.build().await,
        };
        config
            .into_builder()
            .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(taken))
            .build()
    }
}

type Answer = (Option<String>, Option<DateTime>);

async fn private(config: &SdkConfig) -> Result<Answer, String> {
    let answer = aws_sdk_ecr::Client::new(config).get_authorization_token().send().await;
    let answer = answer.map_err(|error| told(&error))?;
    let data = answer.authorization_data.and_then(|all| all.into_iter().next());
    Ok(data.map(|data| (data.authorization_token, data.expires_at)).unwrap_or_default())
}

async fn public(config: &SdkConfig) -> Result<Answer, String> {
    let answer = aws_sdk_ecrpublic::Client::new(config).get_authorization_token().send().await;
    let answer = answer.map_err(|error| told(&error))?;
    Ok(answer.authorization_data.map(|data| (data.authorization_token, data.expires_at)).unwrap_or_default())
}

/// What went wrong, as long as a status can be read. The answer itself, which the error holds, may have a token in it.
fn told<E: Error + ProvideErrorMetadata>(error: &E) -> String {
    const LONGEST: usize = 400;
    let said = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        _ => successors(Some(error as &dyn Error), |error| (*error).source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": "),
    };
    let printable: String = said.chars().filter(|c| !c.is_control()).collect();
    match printable.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &printable[..end]),
        None => printable,
    }
}
