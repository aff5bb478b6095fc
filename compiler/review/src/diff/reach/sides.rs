//! What is compared.

use chainmail_model::Cluster;
use chainmail_prove::Meaning;

/// Both sides of a comparison.
#[derive(Clone, Copy)]
pub(super) struct Sides<'m, 'a> {
    pub(super) clusters: [&'a Cluster; 2],
    pub(super) meanings: [&'m Meaning<'a>; 2],
}
