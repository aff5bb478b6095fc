//! Every commit on the way from what is known to the new revision is signed. The way is the one of first parents: what
//! a branch held before it was merged is answered for by who signed the merge.

use git2::{Oid, Repository};

use super::{First, Keys, Known, Untrusted, Verified, allows_shrink, follows, signature};

/// Where the way begins, and whether its first commit must be signed too.
struct Base {
    commit: Oid,
    /// A floor is known by its digest; what was believed at first is known by its signature alone.
    pinned: bool,
}

pub(super) fn judge(
    mirror: &Repository,
    tip: Oid,
    floor: Option<Oid>,
    keys: &Keys,
    known: &Known<'_>,
) -> Result<Verified, Untrusted> {
    follows(mirror, tip, known.accepted)?;
    let base = match (floor, known.accepted, known.first) {
        (Some(commit), _, _) => Base { commit, pinned: true },
        (None, Some(accepted), _) => Base { commit: Oid::from_str(&accepted.verified.base)?, pinned: false },
        (None, None, First::Trust) => Base { commit: tip, pinned: false },
        (None, None, First::Refuse) => return Err(Untrusted::NoFloor { tip }),
    };
    let accepted = known.accepted.filter(|_| known.same_trust);
    let accepted = accepted.and_then(|accepted| Oid::from_str(&accepted.verified.commit).ok());
    let mut way = None;
    if let Some(accepted) = accepted {
        way = first_parents(mirror, tip, accepted)?;
    }
    let way = match way {
        // What was accepted by the same keys was verified then.
        Some(way) => way,
        None => {
            let mut way =
                first_parents(mirror, tip, base.commit)?.ok_or_else(|| match (floor, known.accepted) {
                    (Some(floor), _) => Untrusted::BelowFloor { tip, floor },
                    (None, _) => Untrusted::Rewritten { tip, accepted: base.commit.to_string() },
                })?;
            if !base.pinned {
                way.push(base.commit);
            }
            way
        }
    };
    // The oldest first: what is told is where trust ends.
    let mut signer = None;
    for &commit in way.iter().rev() {
        let by = signature::of_commit(mirror, commit, keys)
            .map_err(|source| Untrusted::Commit { commit, source })?;
        signer = Some(by);
    }
    let signer = match (signer, known.accepted) {
        (Some(signer), _) => Some(signer),
        (None, Some(accepted)) if accepted.verified.commit == tip.to_string() => {
            accepted.verified.signer.clone()
        }
        (None, _) => Some("min_commit".to_owned()),
    };
    let commit = mirror.find_commit(tip)?;
    Ok(Verified {
        commit: tip.to_string(),
        signer,
        tag: None,
        base: base.commit.to_string(),
        time: commit.time().seconds(),
        allows_shrink: !way.is_empty() && commit.message().is_ok_and(allows_shrink),
    })
}

/// The commits from one back to another along first parents, without the last; `None` when the way does not come there.
fn first_parents(mirror: &Repository, from: Oid, to: Oid) -> Result<Option<Vec<Oid>>, git2::Error> {
    let mut way = Vec::new();
    let mut at = from;
    while at != to {
        way.push(at);
        let commit = mirror.find_commit(at)?;
        match commit.parent_ids().next() {
            Some(parent) => at = parent,
            None => return Ok(None),
        }
    }
    Ok(Some(way))
}
