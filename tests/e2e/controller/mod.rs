//! `pullgate controller` against a real control plane: copies of a Secret in namespaces, references of ServiceAccounts.
//!
//! A controller works on every namespace of the cluster, those of other tests as well. So each test has a Secret and a
//! ServiceAccount of names that nobody else uses ([`case`]); only tests of other accounts have the cluster to themselves.
//! Controllers look at everything again after an hour, not after ten seconds: what heals, heals because it was watched.

mod accounts;
pub(crate) mod canary;
mod copies;
mod election;
mod faults;
mod foreign;
mod healing;
pub(crate) mod rights;
mod rotation;
mod selection;
mod steady;
mod tasks;
mod writers;

mod api_server;
mod audit;
pub(crate) mod case;
pub(crate) mod events;
mod line;
