//! Every test that needs no cluster, in one binary: linking is most of what a test build takes.
