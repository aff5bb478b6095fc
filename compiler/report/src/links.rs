//! Links to the lines that are a cause, at the revision that they are of.

use std::str::FromStr;

use chainmail_review::diff::{Cause, Review, Side};

use crate::escape::uri;

/// The longest link; a comment has room for other things.
const MOST: usize = 400;

/// The web page of a repository, below which `blob/COMMIT/PATH` shows a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkBase(String);

impl FromStr for LinkBase {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        // What ends a link in Markdown, or begins something else in a URL, has no place in it.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/:".contains(c);
        match rest {
            Some(rest) if !rest.is_empty() && rest.chars().all(plain) => {
                Ok(Self(text.trim_end_matches('/').to_owned()))
            }
            _ => Err("it is the URL of a repository's page, like https://github.com/OWNER/REPO"),
        }
    }
}

/// How the places of a review are linked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Links<'r> {
    base: Option<&'r LinkBase>,
    commits: [Option<&'r str>; 2],
}

impl<'r> Links<'r> {
    pub(super) fn new(review: &'r Review, base: Option<&'r LinkBase>) -> Self {
        Self { base, commits: [review.base.commit.as_deref(), review.head.commit.as_deref()] }
    }

    /// The link to a cause, where its side is a revision.
    pub(super) fn to(&self, cause: &Cause) -> Option<String> {
        let LinkBase(base) = self.base?;
        let commit = match cause.side {
            Side::Base => self.commits[0],
            Side::Head => self.commits[1],
        };
        let link = format!("{base}/blob/{}/{}#L{}", uri(commit?), uri(&cause.file), cause.line);
        (link.len() <= MOST).then_some(link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_cannot_end_the_link_that_it_begins() {
        for good in ["https://github.com/o/r", "http://git.example.org:8080/o/r/-/"] {
            assert!(good.parse::<LinkBase>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "github.com/o/r",
            "javascript://x",
            "https://",
            "https://a/b)",
            "https://a/ b",
            "https://a/<b>",
        ] {
            assert!(bad.parse::<LinkBase>().is_err(), "{bad}");
        }
    }
}
