//! A signed tag `chainmail/<number>` names the revision, and numbers only rise. What is between two tags needs no
//! signature: who signs the tag answers for all of it.

use git2::{ObjectType, Oid, Repository};

use super::{First, Keys, Known, Untrusted, Verified, allows_shrink, follows, reaches, signature};
use crate::config::Config;
use crate::mirror;

pub(super) fn judge(
    mirror: &Repository,
    tip: Oid,
    config: &Config,
    keys: &Keys,
    known: &Known<'_>,
) -> Result<Verified, Untrusted> {
    let branch = || config.branch.as_str().to_owned();
    let (number, object) = newest(mirror, tip)?.ok_or_else(|| Untrusted::NoTag { branch: branch() })?;
    let name = format!("chainmail/{number}");
    let before = known.accepted.and_then(|accepted| accepted.verified.tag);
    if let Some(before) = before
        && number < before
    {
        return Err(Untrusted::TagBackwards { found: number, accepted: before });
    }
    if mirror.find_object(object, None)?.kind() != Some(ObjectType::Tag) {
        return Err(Untrusted::Lightweight { tag: name });
    }
    let signed = signature::of_tag(mirror, object, keys)
        .map_err(|source| Untrusted::Tag { tag: name.clone(), source })?;
    // Whoever can write to the remote can put an old tag under a new name.
    if signed.name != name {
        return Err(Untrusted::OtherName { tag: name, signed: signed.name });
    }
    let commit = signed.target;
    if let Some(accepted) = known.accepted
        && before == Some(number)
        && accepted.verified.commit != commit.to_string()
    {
        let accepted = accepted.verified.commit.clone();
        return Err(Untrusted::TagMoved { tag: number, accepted, found: commit });
    }
    follows(mirror, commit, known.accepted)?;
    match (config.trust.min_commit, known.accepted, known.first) {
        (Some(floor), _, _) if !reaches(mirror, commit, floor)? => {
            return Err(Untrusted::BelowFloor { tip: commit, floor });
        }
        (None, None, First::Refuse) => return Err(Untrusted::NoFloor { tip: commit }),
        _ => {}
    }
    Ok(Verified {
        commit: commit.to_string(),
        signer: Some(signed.signer),
        tag: Some(number),
        base: commit.to_string(),
        time: signed.time,
        allows_shrink: allows_shrink(&signed.message),
    })
}

/// The tag with the highest number that names a revision of the branch: its number, and its object.
fn newest(mirror: &Repository, tip: Oid) -> Result<Option<(u64, Oid)>, git2::Error> {
    let mut tags = Vec::new();
    for reference in mirror.references_glob(&format!("{}*", mirror::TAGS))? {
        let reference = reference?;
        let number = reference.name().ok().and_then(|name| number(name.strip_prefix(mirror::TAGS)?));
        if let (Some(number), Some(object)) = (number, reference.target()) {
            tags.push((number, object));
        }
    }
    tags.sort_unstable();
    for (number, object) in tags.into_iter().rev() {
        let commit = mirror.find_object(object, None).and_then(|object| object.peel(ObjectType::Commit));
        if let Ok(commit) = commit
            && reaches(mirror, tip, commit.id())?
        {
            return Ok(Some((number, object)));
        }
    }
    Ok(None)
}

/// A number in its one written form, so that no two tags have the same.
fn number(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text)
}
