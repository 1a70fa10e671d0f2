//! What the fuzz targets share; docs/fuzzing.md says what each target holds the program to.

pub mod cost;
pub mod json;
pub mod model;
pub mod policies;
pub mod review;
