//! `ImagePullSecret` resources: each test has resources of its own, by a label that its controllers select.

mod aws;
mod canary;
mod case;
mod definition;
mod ecr;
mod life;
mod moto;
mod refresher;
mod refusals;
mod rights;
mod scale;
mod selection;
mod sources;
mod targets;
