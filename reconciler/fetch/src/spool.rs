//! What is handed over to the applying half: a folder named by its digest, whole or not there, and the file that names
//! the one that is to be in force. It reads all of it as another user.

use std::path::Path;

use chainmail_contract::limits::PROVENANCE_BYTES;
use chainmail_contract::{Family, Joined, NodeName, Sha256Hex, read};
use chainmail_reconciler::files::{self, FileError};
use chainmail_reconciler::spool;

use crate::paths::Paths;

/// The snapshot that was handed over last, if it is still whole.
#[must_use]
pub fn current(paths: &Paths, node: &NodeName) -> Option<Joined> {
    let digest = spool::wanted(&paths.node).ok()??;
    whole(paths, node, &digest)
}

fn whole(paths: &Paths, node: &NodeName, digest: &Sha256Hex) -> Option<Joined> {
    let snapshot = read::snapshot(&paths.node.spooled(digest), node).ok()?;
    (snapshot.manifest().digest == *digest).then_some(snapshot)
}

/// Hands a snapshot over. Those before it that are named stay, since the applying half may be reading one.
///
/// # Errors
/// When it cannot be written; the one before it is then still wanted.
pub fn hand_over(
    paths: &Paths,
    snapshot: &Joined,
    provenance: Option<&str>,
    before: &[Sha256Hex],
) -> Result<(), FileError> {
    let manifest = snapshot.manifest();
    let folder = paths.node.spooled(&manifest.digest);
    if whole(paths, &manifest.node, &manifest.digest).is_none() {
        files::clear(&folder)?;
    }
    // The applying half refuses a snapshot with a longer one.
    let fits = |text: &&str| text.len() as u64 <= PROVENANCE_BYTES;
    if provenance.is_some_and(|text| !fits(&text)) {
        tracing::warn!("{PROVENANCE} is longer than {PROVENANCE_BYTES} bytes, and is left out");
    }
    let provenance = provenance.filter(fits);
    let (json, ipsets) = (manifest.to_json(), snapshot.ipsets());
    let mut parts = vec![("manifest.json", json.as_str()), ("ipsets", ipsets.as_str())];
    parts.extend(Family::ALL.map(|family| (family.rules_file(), snapshot.rules(family))));
    parts.extend(provenance.map(|text| (PROVENANCE, text)));
    files::publish_folder(&folder, &parts)?;
    // Equal rules may come from other lines than when the folder was written.
    if let Some(text) = provenance
        && reads(&folder.join(PROVENANCE)).as_deref() != Some(text)
    {
        files::publish(&folder.join(PROVENANCE), text)?;
    }
    let wanted = format!("{}\n", manifest.digest);
    if reads(&paths.node.desired()).as_deref() != Some(wanted.as_str()) {
        files::publish(&paths.node.desired(), &wanted)?;
    }
    for name in files::names(&paths.node.spool())? {
        let digest = name.strip_suffix(".new").unwrap_or(&name).to_owned();
        let Ok(digest) = Sha256Hex::try_from(digest) else { continue };
        let kept = digest == manifest.digest || before.contains(&digest);
        if (name.ends_with(".new") || !kept)
            && let Err(error) = files::clear(&paths.node.spool().join(name))
        {
            tracing::warn!(%error, "a snapshot that is no longer wanted stays in the spool");
        }
    }
    Ok(())
}

/// The text of a file that is written again where it is another; `None` where it cannot be read.
fn reads(path: &Path) -> Option<String> {
    files::read(path).ok().flatten()
}

/// Which policy each rule comes from; outside the digest.
const PROVENANCE: &str = "provenance.json";
