//! How many people have signed what a revision has: signatures over its commit, and over others that have the same tree.
//!
//! Which signatures count is settled here: those whose message states the branch where that is asked for, one for each
//! person.

use std::collections::BTreeSet;

use git2::Oid;

use super::history::{History, Point};
use super::object::Commit;
use super::signature::{self, SignatureError, Signed};
use super::signers::Person;
use super::{Keys, Untrusted, trailer};
use crate::config::{BranchStatement, Config};

/// The trailer that states for which branch a signature is meant.
pub(super) const BRANCH: &str = "Chainmail-Branch";
/// The trailer of a signed message that lets rules go.
const ALLOW: (&str, &str) = ("Chainmail-Allow", "shrink");

/// People enough who answer for a revision.
pub(super) struct Quorum {
    /// Who, each with the key.
    pub(super) signers: String,
    /// Whether so many of them let rules go.
    pub(super) allows_shrink: bool,
}

/// Counts the people who signed: the one whose signature is needed in any case, and others.
pub(super) fn count(
    config: &Config,
    what: &str,
    first: &Signed,
    others: &[Signed],
) -> Result<Quorum, Untrusted> {
    let branch = config.branch.as_str();
    let states = |signed: &&Signed| match config.trust.branch_statement {
        BranchStatement::NotAsked => true,
        BranchStatement::Required => trailer::values(&signed.message, BRANCH).contains(&branch),
    };
    if !states(&first) {
        return Err(Untrusted::NoStatement { what: what.to_owned(), branch: branch.to_owned() });
    }
    let mut persons = BTreeSet::new();
    let all = || std::iter::once(first).chain(others);
    let counted: Vec<&Signed> =
        all().filter(states).filter(|signed| persons.insert(signed.by.principal.person)).collect();
    let signers = counted.iter().map(|signed| signed.by.to_string()).collect::<Vec<_>>().join(", ");
    let threshold = usize::from(config.trust.threshold.get());
    if persons.len() < threshold {
        let (what, branch) = (what.to_owned(), branch.to_owned());
        let without = all().filter(|signed| !states(signed)).map(|signed| signed.by.to_string()).next();
        return Err(Untrusted::TooFew { what, threshold, signers, without, branch });
    }
    let lets_go = |signed: &&Signed| trailer::values(&signed.message, ALLOW.0).contains(&ALLOW.1);
    let letting: BTreeSet<Person> =
        all().filter(states).filter(lets_go).map(|signed| signed.by.principal.person).collect();
    Ok(Quorum { signers, allows_shrink: letting.len() >= threshold })
}

/// The signatures of a commit's tree that its history has: the commit's own, and the one of its second parent where that
/// has the same tree and was made on top of the first.
///
/// An older proposal with the same tree does not count: who signed it has not seen what came since.
pub(super) fn of_tree(history: &History<'_>, id: Oid, keys: &Keys) -> Result<Vec<Signed>, git2::Error> {
    let mut found = Vec::new();
    let Some(commit) = holds(Commit::read(&history.objects, id))? else { return Ok(found) };
    found.extend(holds(signature::of(&commit.text, keys))?);
    if let [first, second] = commit.parents[..]
        && let Some(merged) = holds(Commit::read(&history.objects, second))?
        && merged.tree == commit.tree
    {
        let first = Point { id: first, payload: None };
        if !history.same(second, &first)? && history.reaches(second, &first)? {
            found.extend(holds(signature::of(&merged.text, keys))?);
        }
    }
    Ok(found)
}

/// What is believed nothing does not count; what cannot be read is an error all the same.
fn holds<T>(found: Result<T, SignatureError>) -> Result<Option<T>, git2::Error> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(SignatureError::Git(error)) => Err(error),
        Err(_) => Ok(None),
    }
}
