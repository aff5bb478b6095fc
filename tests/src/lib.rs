//! Tests of the whole workspace; everything is in `tests/`.
