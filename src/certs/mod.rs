//! Certificates: made here, and read whoever made them.

mod first_try;
mod issue;
mod read;

pub use first_try::{SelfSigned, self_signed};
pub use issue::{Authority, Pair, authority, key, leaf, public_half, request};
pub use read::{Certificate, pem_of, read, trusts};
