#![no_main]

#[path = "../../src/hostile.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::signers(bytes));
