//! The file of those who may sign, as ssh-keygen(1) describes it under ALLOWED SIGNERS.
//!
//! No signature is accepted by this reader that `ssh-keygen -Y verify` would refuse. Where the manual page leaves a choice, the
//! narrower reading is taken: a line that OpenSSH would pass by is an error, and where a key stands on more than one line
//! all of them have to allow what it signed.

mod moment;
mod pattern;

use std::collections::BTreeMap;

use ssh_key::PublicKey;
use thiserror::Error;

use self::moment::moment;
use self::pattern::PatternList;

/// Who may sign.
#[derive(Debug, Default)]
pub struct Signers(Vec<Line>);

/// A line of the file.
#[derive(Debug)]
struct Line {
    number: usize,
    principals: PatternList,
    /// The first principal that this line can be asked for.
    name: String,
    person: Person,
    key: PublicKey,
    options: Options,
}

/// What a key is good for.
#[derive(Debug, Default)]
struct Options {
    /// All namespaces, where none is said.
    namespaces: Option<PatternList>,
    /// The first and the last second in which the key may sign.
    after: Option<i64>,
    before: Option<i64>,
}

/// Somebody who may sign. Principals that share a key, and keys that share a principal, are one person: of two signatures
/// only one counts unless nothing in the file joins them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Person(usize);

/// Whose key made a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The name in the file.
    pub name: String,
    /// Who that is.
    pub person: Person,
}

/// A line that is not understood. It is never passed by: it may be the one that takes trust away.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{line}: {problem}")]
pub struct SignersError {
    pub(super) line: usize,
    pub(super) problem: String,
}

/// What separates fields.
const BLANK: [char; 2] = [' ', '\t'];

/// The lines that say something, without blanks around them, with their numbers.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Result<(usize, &str), SignersError>> {
    (1..).zip(text.split('\n')).filter_map(|(number, line)| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains(|c: char| c.is_control() && c != '\t') {
            let problem = "it has a control character; write it with an editor for plain text".to_owned();
            return Some(Err(SignersError { line: number, problem }));
        }
        let line = line.trim_matches(BLANK);
        (!line.is_empty() && !line.starts_with('#')).then_some(Ok((number, line)))
    })
}

/// The first word, and what is behind it.
pub(super) fn word(text: &str) -> (&str, &str) {
    text.split_once(BLANK).map_or((text, ""), |(word, rest)| (word, rest.trim_start_matches(BLANK)))
}

impl Signers {
    /// Reads the file's text.
    ///
    /// # Errors
    /// At the first line that is not understood.
    pub fn parse(text: &str) -> Result<Self, SignersError> {
        let line = |found: Result<(usize, &str), SignersError>| {
            let (line, text) = found?;
            Line::parse(line, text).map_err(|problem| SignersError { line, problem })
        };
        let mut lines = lines(text).map(line).collect::<Result<Vec<_>, _>>()?;
        find_persons(&mut lines);
        Ok(Self(lines))
    }

    /// Whose key this is, if it may sign in a namespace at a time: seconds since 1970.
    ///
    /// # Errors
    /// When it is somebody's and may not; why.
    pub fn of(&self, key: &PublicKey, namespace: &str, time: i64) -> Result<Option<Principal>, String> {
        let mut found = None;
        for line in self.0.iter().filter(|line| line.key.key_data() == key.key_data()) {
            line.options.allow(namespace, time).map_err(|why| format!("{why} (line {})", line.number))?;
            found = found.or(Some(line));
        }
        Ok(found.map(|line| Principal { name: line.name.clone(), person: line.person }))
    }

    /// Says that so many different people can sign. A pattern would stand for an unknown number of them.
    ///
    /// # Errors
    /// When a line has a pattern for a name, or there are fewer people.
    pub fn can_reach(&self, threshold: usize) -> Result<(), SignersError> {
        for line in &self.0 {
            if let Some(pattern) = line.principals.first_pattern() {
                let problem =
                    format!("with a threshold each line names its principals, and {pattern:?} is a pattern");
                return Err(SignersError { line: line.number, problem });
            }
        }
        let mut persons: Vec<Person> = self.0.iter().map(|line| line.person).collect();
        persons.sort_unstable();
        persons.dedup();
        if persons.len() >= threshold {
            return Ok(());
        }
        let line = self.0.last().map_or(1, |line| line.number);
        let problem = format!(
            "threshold = {threshold} cannot be reached: the file has {} different signers (principals that share a \
             key are one)",
            persons.len()
        );
        Err(SignersError { line, problem })
    }
}

/// Gives lines that share a key or a principal the same person.
fn find_persons(lines: &mut [Line]) {
    // The person of each name and key so far. A line that joins two persons renames the later one.
    let mut known: BTreeMap<String, Person> = BTreeMap::new();
    for at in 0..lines.len() {
        let (done, rest) = lines.split_at_mut(at);
        let Some(line) = rest.first_mut() else { continue };
        let names = line.principals.positive().map(|name| format!("name {}", name.to_lowercase()));
        let key = format!("key {}", encoded(&line.key));
        let marks: Vec<String> = names.chain([key]).collect();
        let joined: Vec<Person> = marks.iter().filter_map(|mark| known.get(mark).copied()).collect();
        let person = joined.iter().min().copied().unwrap_or(Person(at));
        line.person = person;
        let rename = |found: &mut Person| {
            if joined.contains(found) {
                *found = person;
            }
        };
        done.iter_mut().map(|line| &mut line.person).chain(known.values_mut()).for_each(rename);
        known.extend(marks.into_iter().map(|mark| (mark, person)));
    }
}

impl Line {
    fn parse(number: usize, text: &str) -> Result<Self, String> {
        let (principals, rest) = principals(text)?;
        let (first, behind) = word(rest);
        let is_key = ["ssh-", "ecdsa-", "sk-"].iter().any(|kind| first.starts_with(kind));
        let (options, key) = match is_key {
            true => ("", rest),
            false if first.is_empty() => return Err(FORM.to_owned()),
            false if first.contains('"') => options(rest)?,
            false => (first, behind),
        };
        let principals = PatternList::parse(principals)?;
        let name = principals.positive().find(|name| principals.matches(name)).map(str::to_owned);
        Ok(Self {
            number,
            name: name.ok_or("no principal of this line can ever match")?,
            principals,
            person: Person(0),
            options: Options::parse(options)?,
            key: self::key(key)?,
        })
    }
}

impl Options {
    /// Reads `name="value",name="value"`.
    fn parse(text: &str) -> Result<Self, String> {
        let mut options = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            let (name, behind) = rest.split_at(rest.find(['=', ',']).unwrap_or(rest.len()));
            let name = name.to_ascii_lowercase();
            match name.as_str() {
                "namespaces" | "valid-after" | "valid-before" => {}
                "cert-authority" => {
                    return Err("certificates are not supported; list each key".to_owned());
                }
                _ => return Err(format!("{name:?} is no option; {FORM}")),
            }
            let value = behind.strip_prefix("=\"").and_then(|value| value.split_once('"'));
            let (value, behind) = value.ok_or_else(|| format!("write {name}=\"…\", in double quotes"))?;
            if value.contains('\\') {
                return Err(format!("the value of {name} has a backslash, which is not supported"));
            }
            let twice = match name.as_str() {
                "namespaces" => options.namespaces.replace(PatternList::parse(value)?).is_some(),
                "valid-after" => options.after.replace(moment(value)?).is_some(),
                _ => options.before.replace(moment(value)?).is_some(),
            };
            if twice {
                return Err(format!("{name} is said twice"));
            }
            rest = match behind.strip_prefix(',') {
                Some("") => return Err("a comma ends the options".to_owned()),
                Some(more) => more,
                None if behind.is_empty() => behind,
                None => {
                    return Err(format!("{behind:?} follows the value of {name}; a comma separates options"));
                }
            };
        }
        match (options.after, options.before) {
            (Some(after), Some(before)) if before <= after => {
                Err("valid-before is not later than valid-after".to_owned())
            }
            _ => Ok(options),
        }
    }

    fn allow(&self, namespace: &str, time: i64) -> Result<(), String> {
        if self.namespaces.as_ref().is_some_and(|namespaces| !namespaces.matches(namespace)) {
            return Err(format!("its namespaces do not include {namespace:?}"));
        }
        match (self.after, self.before) {
            (Some(after), _) if time < after => Err("it was not valid yet when this was signed".to_owned()),
            (_, Some(before)) if time > before => {
                Err("it was no longer valid when this was signed".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// How a line is written.
const FORM: &str = "write: PRINCIPALS [OPTIONS] KEYTYPE KEY";

/// Cuts off the principals: one word, or as a whole in double quotes.
fn principals(line: &str) -> Result<(&str, &str), String> {
    let Some(quoted) = line.strip_prefix('"') else {
        return match word(line) {
            (principals, _) if principals.contains('"') => {
                Err("principals stand in double quotes as a whole, or not at all".to_owned())
            }
            found => Ok(found),
        };
    };
    let (principals, behind) = quoted.split_once('"').ok_or("a double quote is not closed")?;
    if !behind.starts_with(BLANK) {
        return Err(format!("a blank stands behind the closing quote; {FORM}"));
    }
    Ok((principals, behind.trim_start_matches(BLANK)))
}

/// Cuts off the options, which end at the first blank that stands in no quotes.
fn options(text: &str) -> Result<(&str, &str), String> {
    let mut quoted = false;
    let end = text.find(|c| {
        quoted ^= c == '"';
        BLANK.contains(&c) && !quoted
    });
    match end {
        Some(end) => {
            let (options, behind) = text.split_at(end);
            Ok((options, behind.trim_start_matches(BLANK)))
        }
        None if quoted => Err("a double quote is not closed".to_owned()),
        None => Err(FORM.to_owned()),
    }
}

/// A key in its one written form.
fn encoded(key: &PublicKey) -> String {
    let plain = PublicKey::from(key.key_data().clone());
    plain.to_openssh().expect("a key that was read can be written")
}

/// Reads `KEYTYPE KEY`; what is behind is a comment.
fn key(text: &str) -> Result<PublicKey, String> {
    let (kind, rest) = word(text);
    let (blob, _comment) = word(rest);
    let text = format!("{kind} {blob}");
    let key = PublicKey::from_openssh(&text).map_err(|error| format!("no public key: {error}"))?;
    match key.algorithm() {
        ssh_key::Algorithm::Ed25519
        | ssh_key::Algorithm::SkEd25519
        | ssh_key::Algorithm::SkEcdsaSha2NistP256
        | ssh_key::Algorithm::Ecdsa {
            curve: ssh_key::EcdsaCurve::NistP256 | ssh_key::EcdsaCurve::NistP384,
        } => {}
        other => {
            return Err(format!(
                "keys of type {other} are not supported; use ed25519 or ecdsa of 256 or 384 bits"
            ));
        }
    }
    if encoded(&key) != text {
        return Err("no public key: it is not in the form that ssh-keygen writes".to_owned());
    }
    Ok(key)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::trust) const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    pub(in crate::trust) const OTHER: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBLM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqt";

    fn name(found: Result<Option<Principal>, String>) -> Option<String> {
        found.ok().flatten().map(|found| found.name)
    }

    #[test]
    fn a_key_signs_in_its_namespace_and_time_only() {
        // 2026-01-01 and 2026-07-01, noon.
        let (winter, summer) = (1_767_268_800, 1_782_907_200);
        let rows = [
            ("", [true, true]),
            ("namespaces=\"git\"", [true, true]),
            ("NameSpaces=\"file,git\"", [true, true]),
            ("namespaces=\"g?t\"", [true, true]),
            ("namespaces=\"file\"", [false, false]),
            ("namespaces=\"*,!git\"", [false, false]),
            ("namespaces=\"!file\"", [false, false]),
            ("valid-before=\"20260401Z\"", [true, false]),
            ("valid-before=\"20260101120000Z\"", [true, false]),
            ("valid-after=\"20260401Z\"", [false, true]),
            ("valid-after=\"202601011200Z\",namespaces=\"git\"", [true, true]),
            ("valid-after=\"20260101120001Z\"", [false, true]),
        ];
        let key = PublicKey::from_openssh(KEY).unwrap();
        for (options, expected) in rows {
            for blank in [" ", "\t", " \t "] {
                let text =
                    format!("# who\n\nalice@example.com{blank}{options}{blank}{KEY}{blank}a laptop\r\n");
                let signers = Signers::parse(&text).expect(&text);
                let found = [winter, summer].map(|time| name(signers.of(&key, "git", time)));
                let expected = expected.map(|may| may.then(|| "alice@example.com".to_owned()));
                assert_eq!(found, expected, "{text}");
            }
        }
        let signers = Signers::parse(&format!("alice {KEY}")).unwrap();
        let other = PublicKey::from_openssh(OTHER).unwrap();
        assert_eq!(signers.of(&other, "git", winter), Ok(None));
        // Both lines speak of the key, and one of them says no.
        let signers = Signers::parse(&format!("a {KEY}\nb namespaces=\"file\" {KEY}")).unwrap();
        assert!(signers.of(&key, "git", winter).unwrap_err().contains("line 2"));
    }

    #[test]
    fn principals_are_a_pattern_list() {
        let key = PublicKey::from_openssh(KEY).unwrap();
        let rows = [
            ("alice,bob", "alice"),
            ("*@example.com", "*@example.com"),
            ("!bob,alice", "alice"),
            ("alice,*,!a*", "*"),
            ("\"alice smith\"", "alice smith"),
        ];
        for (principals, expected) in rows {
            let signers = Signers::parse(&format!("{principals} {KEY}")).expect(principals);
            assert_eq!(name(signers.of(&key, "git", 0)).as_deref(), Some(expected), "{principals}");
        }
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error() {
        let rows = [
            (format!("alice {KEY}\nbob"), "2: write:"),
            (format!("alice {KEY}\nbob\r\n"), "2: write:"),
            ("alice ssh-ed25519 AAAA".to_owned(), "1: no public key"),
            (format!("alice {KEY}="), "no public key"),
            (format!("* cert-authority {KEY}"), "certificates are not supported"),
            (format!("*\tcert-authority\t{KEY}"), "certificates are not supported"),
            (format!("* namespaces=\"git\",cert-authority {KEY}"), "certificates are not supported"),
            (format!("alice valid-before=\"20260101\" {KEY}"), "the Z for UTC"),
            (format!("alice valid-before=\"20261301Z\" {KEY}"), "is no time"),
            (format!("alice valid-til=\"20260101Z\" {KEY}"), "\"valid-til\" is no option"),
            (format!("alice namespaces=git {KEY}"), "in double quotes"),
            (format!("alice namespaces=\"git {KEY}"), "is not closed"),
            (format!("alice namespaces=\"git\"x {KEY}"), "follows the value"),
            (format!("alice namespaces=\"git\", {KEY}"), "a comma ends"),
            (format!("alice ,namespaces=\"git\" {KEY}"), "\"\" is no option"),
            (format!("alice namespaces=\"file\",namespaces=\"git\" {KEY}"), "said twice"),
            (format!("alice valid-before=\"20200101Z\",Valid-Before=\"20990101Z\" {KEY}"), "said twice"),
            (format!("alice namespaces=\"\" {KEY}"), "empty pattern"),
            (format!("alice namespaces=\"g\\it\" {KEY}"), "backslash"),
            (format!("alice valid-after=\"20260101Z\",valid-before=\"20260101Z\" {KEY}"), "not later"),
            (format!("\"alice namespaces=\"file\"\" {KEY}"), "behind the closing quote"),
            (format!("al\"ic\"e {KEY}"), "as a whole"),
            (format!("\"alice {KEY}"), "is not closed"),
            (format!("!alice {KEY}"), "can ever match"),
            (format!("alice,,bob {KEY}"), "empty pattern"),
            (format!("alice\u{b}{KEY}"), "control character"),
            (format!("alice {KEY}\0"), "control character"),
            (KEY.to_owned(), "is no option"),
            ("alice ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAwEAAQ==".to_owned(), "ssh-rsa"),
        ];
        for (text, expected) in rows {
            let error = Signers::parse(&text).expect_err(&text).to_string();
            assert!(error.contains(expected), "{text}\n{error}");
        }
    }

    #[test]
    fn principals_that_share_a_key_are_one_person() {
        let third = PublicKey::from_openssh(OTHER).unwrap().to_openssh().unwrap().replace("IBLM", "IALM");
        let persons = |text: &str| {
            let signers = Signers::parse(text).expect(text);
            signers.0.iter().map(|line| line.person.0).collect::<Vec<_>>()
        };
        assert_eq!(persons(&format!("a {KEY}\nb {OTHER}")), [0, 1]);
        assert_eq!(persons(&format!("a {KEY}\nb {KEY}")), [0, 0]);
        assert_eq!(persons(&format!("a {KEY}\nA {OTHER}")), [0, 0]);
        assert_eq!(persons(&format!("a,b {KEY}\nb {OTHER}\nc {third}")), [0, 0, 2]);
        // The last line joins what stood apart.
        assert_eq!(persons(&format!("a {KEY}\nb {OTHER}\na,b {third}")), [0, 0, 0]);
        let two = Signers::parse(&format!("a {KEY}\nb {OTHER}")).unwrap();
        assert_eq!(two.can_reach(2), Ok(()));
        assert!(two.can_reach(3).unwrap_err().to_string().contains("2 different signers"));
        let pattern = Signers::parse(&format!("a {KEY}\n*@b {OTHER}")).unwrap();
        assert!(pattern.can_reach(2).unwrap_err().to_string().starts_with("2: "));
    }
}
