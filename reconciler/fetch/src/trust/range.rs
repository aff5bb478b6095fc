//! Every commit on the way from what is known to the new revision is signed. The way is the one of first parents: what
//! a branch held before it was merged is answered for by who signed the merge.

use git2::Oid;

use super::history::Point;
use super::object::Commit;
use super::tag::Tags;
use super::{Case, First, Untrusted, Verified, follows, quorum, signature};

/// Where the way begins.
struct Base {
    point: Point,
    /// Whether the first commit needs no signature: a floor is known by its digest, and what was accepted by the same keys
    /// was verified then. What was believed at first is known by its signature alone.
    known: bool,
}

pub(super) fn judge(case: &Case<'_>, tip: Oid) -> Result<Verified, Untrusted> {
    let Case { history, config, keys, known } = case;
    if let Some(refused) = case.refused(tip)? {
        return Err(Untrusted::Refused { tip, refused });
    }
    let accepted = known.accepted.map(|accepted| accepted.verified.point()).transpose()?;
    follows(history, tip, accepted.as_ref())?;
    let base = match (known.floor(config), known.accepted, known.first) {
        (Some(point), _, _) => Base { point, known: true },
        (None, Some(accepted), _) => Base { point: accepted.verified.base()?, known: false },
        (None, None, First::Trust) => Base { point: Point { id: tip, payload: None }, known: false },
        (None, None, First::Refuse) => return Err(Untrusted::NoFloor { tip }),
    };
    let first = base.point.clone();
    let same_trust = accepted.clone().filter(|_| known.same_trust);
    let short = match &same_trust {
        Some(point) => history.way(tip, point)?,
        None => None,
    };
    let (way, base) = match (short, same_trust) {
        (Some(way), Some(point)) => (way, Base { point, known: true }),
        _ => match history.way(tip, &base.point)? {
            Some(way) => (way, base),
            None if base.known => return Err(Untrusted::BelowFloor { tip, floor: first.id }),
            None => return Err(Untrusted::Rewritten { tip, accepted: first.id.to_string() }),
        },
    };
    let mut unsigned = way.commits;
    // A twin of what is known has a signature of its own, which may not hold.
    if !base.known || way.end != base.point.id {
        unsigned.push(way.end);
    }
    // The oldest first: what is told is where trust ends.
    let mut last = None;
    for &commit in unsigned.iter().rev() {
        let signed = Commit::read(&history.objects, commit).and_then(|read| signature::of(&read.text, keys));
        last = Some(signed.map_err(|source| Untrusted::Commit { commit, source })?);
    }
    let verified = Verified::of(history, tip, first)?;
    let signed = match last {
        Some(signed) if !base.known || way.end != tip => signed,
        // Nothing new: it is what was accepted, or what the configuration names.
        _ => {
            let signer = match (&accepted, known.accepted) {
                (Some(point), Some(accepted)) if history.same(tip, point)? => {
                    accepted.verified.signer.clone()
                }
                _ => Some("min_commit".to_owned()),
            };
            return Ok(Verified { signer, ..verified });
        }
    };
    let mut others = Vec::new();
    if config.trust.wants_others() {
        others = quorum::of_tree(history, tip, keys)?;
        others.extend(Tags::of(history)?.naming(case, tip)?);
    }
    let quorum = quorum::count(config, &format!("commit {tip}"), &signed, &others)?;
    Ok(Verified { signer: Some(quorum.signers), allows_shrink: quorum.allows_shrink, ..verified })
}
