//! `pullgate mutate`
pub mod yaml;
