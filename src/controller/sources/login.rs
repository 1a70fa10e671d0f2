//! PURE: what it takes to get a token of an ECR registry, as a Secret says it.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use k8s_openapi::ByteString;
use zeroize::Zeroizing;

/// The type of such a Secret.
pub const TYPE: &str = "banzaicloud.io/aws-ecr-login-config";
/// Content of a Secret.
pub type Data = BTreeMap<String, ByteString>;

/// Where to log in, and as whom.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The host of the registry, as images name it.
    pub registry: String,
    /// Who gets the token for it.
    pub identity: Identity,
}

/// Everything that a token depends on: it is good for the registries of all accounts that let this one pull. Two that are
/// equal get one token.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The region of the request.
    pub region: String,
    /// Whether it is for the public registry, and for no account's.
    pub public: bool,
    /// Who asks; none for whoever this process is.
    pub keys: Option<Keys>,
    /// The role to take first.
    pub role: Option<String>,
}

/// Static credentials. Neither printable, nor left in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// Names the secret key.
    pub id: String,
    /// The secret key.
    pub secret: Zeroizing<String>,
}

impl Hash for Keys {
    /// By the name of the key, which is enough to tell most of them apart.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl Login {
    /// Reads the keys of a Secret.
    ///
    /// # Errors
    /// Which key is missing or cannot be used, and what is accepted.
    pub fn read(data: &Data) -> Result<Self, String> {
        let text = |key: &str| -> Result<Option<String>, String> {
            let Some(value) = data.get(key) else { return Ok(None) };
            let text = std::str::from_utf8(&value.0).map_err(|_| format!("`{key}` is no text"))?.trim();
            Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
        };
        let word = |key: &str, accepted: &str, is: &dyn Fn(u8) -> bool| -> Result<Option<String>, String> {
            let Some(text) = text(key)? else { return Ok(None) };
            // Host names are made of it, and requests.
            if text.bytes().all(is) { Ok(Some(text)) } else { Err(format!("`{key}` is not {accepted}")) }
        };
        let public = match text("public")?.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err("`public` is neither true nor false".to_owned()),
        };
        let region = word("region", "a region, such as eu-central-1", &|c| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-'
        })?;
        let id = word("accessKeyID", "the name of an access key", &|c| c.is_ascii_alphanumeric())?;
        let secret = text("secretKey")?.map(Zeroizing::new);
        let keys = match (id, secret) {
            (Some(id), Some(secret)) => Some(Keys { id, secret }),
            (None, None) => None,
            (Some(_), None) => return Err("has `accessKeyID` and no `secretKey`".to_owned()),
            (None, Some(_)) => return Err("has `secretKey` and no `accessKeyID`".to_owned()),
        };
        let role = word("roleArn", "the ARN of a role", &|c| c.is_ascii_graphic())?;
        if role.as_ref().is_some_and(|role| !role.starts_with("arn:")) {
            return Err("`roleArn` is not the ARN of a role".to_owned());
        }
        if public {
            // There is one such registry, and tokens for it are given in one region.
            let region = "us-east-1".to_owned();
            let identity = Identity { region, public, keys, role };
            return Ok(Self { registry: "public.ecr.aws".to_owned(), identity });
        }
        let region = region.ok_or("has no key `region`")?;
        let account = text("accountID")?.ok_or("has no key `accountID`")?;
        check_account(&account)?;
        let registry = format!("{account}.dkr.ecr.{region}.{}", suffix(&region));
        Ok(Self { registry, identity: Identity { region, public, keys, role } })
    }
}

/// Tells of what shape a number is that no account has.
fn check_account(account: &str) -> Result<(), String> {
    let (count, digits) = (account.chars().count(), account.bytes().all(|c| c.is_ascii_digit()));
    if digits && count == 12 {
        return Ok(());
    }
    let shape = if digits { "digits" } else { "characters, and not digits alone" };
    Err(format!(
        "`accountID` has {count} {shape}; accepted: the 12 digits of an account, such as 123456789012"
    ))
}

/// Under which name a region's partition has its hosts.
fn suffix(region: &str) -> &'static str {
    // The longest prefixes first.
    const SUFFIXES: [(&str, &str); 6] = [
        ("cn-", "amazonaws.com.cn"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("us-isof-", "csp.hci.ic.gov"),
        ("us-iso-", "c2s.ic.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
        ("eusc-", "amazonaws.eu"),
    ];
    SUFFIXES
        .iter()
        .find(|(prefix, _)| region.starts_with(prefix))
        .map_or("amazonaws.com", |(_, suffix)| suffix)
}
