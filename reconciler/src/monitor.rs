//! How changes by other programs are noticed between two cycles.
//!
//! | what | how | when |
//! |---|---|---|
//! | rules, nft | the kernel tells ([`nft`]) | at once |
//! | rules, legacy | whoever has used their lock file is told of ([`legacy`]), and a look finds the rest ([`lookout`]) | at once; after a period |
//! | sets | a dump over netlink is compared byte for byte with the one before ([`sets`]) | after a period |
//!
//! A period is a second, or longer where a look takes more than a hundredth of it: looking is to cost at most 1 % of a core.

pub mod legacy;
pub mod lookout;
pub mod nft;
pub mod sets;
