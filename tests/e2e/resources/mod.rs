//! `ImagePullSecret` resources: each test has resources of its own, by a label that its controllers select.

mod aws;
mod case;
mod definition;
mod ecr;
mod life;
mod moto;
mod refresher;
mod rights;
mod selection;
mod sources;
mod targets;
