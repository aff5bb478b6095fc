//! A signed tag `chainmail/<number>` names the revision, and numbers only rise. What is between two tags needs no
//! signature: who signs the tag answers for all of it.
//!
//! Anybody who may push can put a tag above all others. One that nobody answers for is passed over, and told of.

use git2::{ErrorCode, ObjectType, Oid};

use super::history::{History, Point};
use super::object::Tag;
use super::quorum::{self, Quorum};
use super::signature::{self, Signed};
use super::{Case, First, SignatureError, Untrusted, Verified, follows};
use crate::mirror;
use crate::quarantine::{MOST_TAGS, number};

/// A tag that people enough answer for.
struct Found {
    commit: Oid,
    time: i64,
    quorum: Quorum,
}

pub(super) fn judge(case: &Case<'_>, tip: Oid) -> Result<Verified, Untrusted> {
    let before = case.known.accepted.and_then(|accepted| accepted.verified.tag);
    let tags = Tags::of(case.history)?;
    let mut passed_over = Vec::new();
    let mut last = None;
    for &(number, object) in tags.numbered.iter().take(MOST_TAGS) {
        if let Some(accepted) = before.filter(|before| number < *before) {
            return Err(match passed_over.pop().filter(|_| last == before) {
                Some(error) => error,
                None => Untrusted::TagBackwards { found: number, accepted },
            });
        }
        last = Some(number);
        match answered_for(case, tip, &tags, number, object) {
            Ok(Some(found)) => {
                let passed_over = passed_over.iter().map(Untrusted::to_string).collect();
                return accept(case, number, found).map(|verified| Verified { passed_over, ..verified });
            }
            // It is about another branch.
            Ok(None) => {}
            Err(Untrusted::Git(error)) => return Err(error.into()),
            Err(error) => passed_over.push(error),
        }
    }
    if tags.numbered.len() >= MOST_TAGS {
        return Err(Untrusted::TooManyTags { most: MOST_TAGS });
    }
    let branch = case.config.branch.as_str().to_owned();
    Err(passed_over.into_iter().next().unwrap_or(Untrusted::NoTag { branch }))
}

/// Whether a tag names a revision of the branch that people enough answer for.
fn answered_for(
    case: &Case<'_>,
    tip: Oid,
    tags: &Tags,
    number: u64,
    object: Oid,
) -> Result<Option<Found>, Untrusted> {
    let Case { history, keys, .. } = case;
    let name = name(number);
    let wrong = |source: SignatureError| match source {
        // What is not there at all stands in no tag's way; what cannot be read is the disk's fault.
        SignatureError::Git(error) if error.code() != ErrorCode::NotFound => Untrusted::Git(error),
        source => Untrusted::Tag { tag: name.clone(), source },
    };
    let kind = history.objects.read_header(object).map(|(_, kind)| kind);
    if kind.map_err(|error| wrong(error.into()))? != ObjectType::Tag {
        return Err(Untrusted::Lightweight { tag: name });
    }
    let tag = Tag::read(&history.objects, object).map_err(wrong)?;
    let signed = signature::of(&tag.text, keys).map_err(wrong)?;
    // Whoever can write to the remote can put an old tag under a new name.
    if tag.name != name {
        return Err(Untrusted::OtherName { tag: name, signed: tag.name });
    }
    let commit = tag.target;
    if !history.reaches(tip, &Point { id: commit, payload: None })? {
        return Ok(None);
    }
    if let Some(refused) = case.refused(commit)? {
        return Err(Untrusted::Refused { tip: commit, refused });
    }
    let mut others = Vec::new();
    if case.config.trust.wants_others() {
        others = quorum::of_tree(history, commit, keys)?;
        others.extend(tags.naming(case, commit)?);
    }
    let quorum = quorum::count(case.config, &format!("tag {name}"), &signed, &others)?;
    Ok(Some(Found { commit, time: tag.text.time, quorum }))
}

fn accept(case: &Case<'_>, number: u64, found: Found) -> Result<Verified, Untrusted> {
    let Case { history, config, known, .. } = case;
    let Found { commit, time, quorum } = found;
    let accepted = known.accepted.map(|accepted| accepted.verified.point()).transpose()?;
    if let Some(accepted) = &accepted
        && known.accepted.and_then(|accepted| accepted.verified.tag) == Some(number)
        && !history.same(commit, accepted)?
    {
        let accepted = accepted.id.to_string();
        return Err(Untrusted::TagMoved { tag: number, accepted, found: commit });
    }
    follows(history, commit, accepted.as_ref())?;
    match (known.floor(config), known.accepted, known.first) {
        (Some(floor), _, _) if !history.reaches(commit, &floor)? => {
            return Err(Untrusted::BelowFloor { tip: commit, floor: floor.id });
        }
        (None, None, First::Refuse) => return Err(Untrusted::NoFloor { tip: commit }),
        _ => {}
    }
    let verified = Verified::of(history, commit, Point { id: commit, payload: None })?;
    let Quorum { signers, allows_shrink } = quorum;
    Ok(Verified { signer: Some(signers), tag: Some(number), time, allows_shrink, ..verified })
}

/// The tags of the mirror that have a number.
pub(super) struct Tags {
    /// Their objects, the highest numbers first.
    numbered: Vec<(u64, Oid)>,
}

impl Tags {
    pub(super) fn of(history: &History<'_>) -> Result<Self, git2::Error> {
        let mut numbered = Vec::new();
        for reference in history.mirror.references_glob(&format!("{}*", mirror::TAGS))? {
            let reference = reference?;
            let number = reference.name().ok().and_then(|name| number(name.strip_prefix(mirror::TAGS)?));
            if let (Some(number), Some(object)) = (number, reference.target()) {
                numbered.push((number, object));
            }
        }
        numbered.sort_unstable_by(|one, other| other.cmp(one));
        Ok(Self { numbered })
    }

    /// The signatures of those that name a commit, under its own id or another. A tag that cannot be read does not count.
    pub(super) fn naming(&self, case: &Case<'_>, commit: Oid) -> Result<Vec<Signed>, git2::Error> {
        let history = case.history;
        let named = Point { id: commit, payload: Some(history.payload(commit)?) };
        let tags = self.numbered.iter().take(MOST_TAGS).filter_map(|&(number, object)| {
            let tag = Tag::read(&history.objects, object).ok()?;
            (tag.name == name(number)).then_some(tag)
        });
        let signed = tags.filter_map(|tag| Some((tag.target, signature::of(&tag.text, case.keys).ok()?)));
        let mut found = Vec::new();
        for (target, signed) in signed {
            if history.objects.exists(target) && history.same(target, &named)? {
                found.push(signed);
            }
        }
        Ok(found)
    }
}

fn name(number: u64) -> String {
    format!("chainmail/{number}")
}
