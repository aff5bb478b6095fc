//! What the workspace's tests share: clusters made from seeds, packets that tell readings apart, and wrong readings.

pub mod agreement;
pub mod bench_input;
pub mod breakpoints;
pub mod documents;
pub mod fuzzed;
pub mod hostile;
pub mod large;
pub mod misreadings;
pub mod mutation;
pub mod probes;
pub mod seeded;
mod shrink;
pub mod world;
