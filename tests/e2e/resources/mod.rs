//! `ImagePullSecret` resources: each test has resources of its own, by a label that its controllers select.

mod case;
mod definition;
mod life;
mod selection;
mod sources;
mod targets;
