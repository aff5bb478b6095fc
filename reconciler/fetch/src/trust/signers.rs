//! The file of those who may sign, as ssh-keygen(1) describes it under ALLOWED SIGNERS, and the one of revoked keys.

use ssh_key::{HashAlg, PublicKey};
use thiserror::Error;

/// Who may sign.
#[derive(Debug, Default)]
pub struct Signers(Vec<Signer>);

#[derive(Debug)]
struct Signer {
    principals: String,
    key: PublicKey,
    /// All, where none is said.
    namespaces: Option<Vec<String>>,
    after: Option<i64>,
    before: Option<i64>,
}

/// Keys that are believed nothing.
#[derive(Debug, Default)]
pub struct Revoked(Vec<String>);

/// A line that is not understood. It is never passed by: it may be the one that takes trust away.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{line}: {problem}")]
pub struct SignersError {
    line: usize,
    problem: String,
}

/// The lines that say something, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines().map(str::trim));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// Cuts a line at spaces that are in no quotes.
fn words(line: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    let words = line.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    });
    words.filter(|word| !word.is_empty()).collect()
}

fn key(words: &[&str]) -> Result<PublicKey, String> {
    let text = words.iter().take(2).copied().collect::<Vec<_>>().join(" ");
    let key = PublicKey::from_openssh(&text).map_err(|error| format!("no public key: {error}"))?;
    match key.algorithm() {
        ssh_key::Algorithm::Ed25519
        | ssh_key::Algorithm::SkEd25519
        | ssh_key::Algorithm::SkEcdsaSha2NistP256
        | ssh_key::Algorithm::Ecdsa {
            curve: ssh_key::EcdsaCurve::NistP256 | ssh_key::EcdsaCurve::NistP384,
        } => Ok(key),
        other => {
            Err(format!("keys of type {other} are not supported; use ed25519 or ecdsa of 256 or 384 bits"))
        }
    }
}

impl Signers {
    /// Reads the file's text.
    ///
    /// # Errors
    /// At the first line that is not understood.
    pub fn parse(text: &str) -> Result<Self, SignersError> {
        let signer = |(line, text)| signer(text).map_err(|problem| SignersError { line, problem });
        lines(text).map(signer).collect::<Result<_, _>>().map(Self)
    }

    /// Whose key this is, if it may sign in a namespace at a time: seconds since 1970.
    ///
    /// # Errors
    /// When it is somebody's and may not; why.
    pub(super) fn of(&self, key: &PublicKey, namespace: &str, time: i64) -> Result<Option<&str>, String> {
        let mut refusal = None;
        for signer in self.0.iter().filter(|signer| signer.key.key_data() == key.key_data()) {
            match signer.allows(namespace, time) {
                Ok(()) => return Ok(Some(&signer.principals)),
                Err(why) => refusal = Some(why),
            }
        }
        refusal.map_or(Ok(None), Err)
    }
}

impl Signer {
    fn allows(&self, namespace: &str, time: i64) -> Result<(), String> {
        if let Some(namespaces) = &self.namespaces
            && !namespaces.iter().any(|known| known == namespace || known == "*")
        {
            return Err(format!("it is for namespaces {}", namespaces.join(", ")));
        }
        match (self.after, self.before) {
            (Some(after), _) if time < after => Err("it was not valid yet when this was signed".to_owned()),
            (_, Some(before)) if time >= before => {
                Err("it was no longer valid when this was signed".to_owned())
            }
            _ => Ok(()),
        }
    }
}

fn signer(line: &str) -> Result<Signer, String> {
    let words = words(line, ' ');
    let [principals, rest @ ..] = &words[..] else { return Err("it is empty".to_owned()) };
    let is_key = |word: &str| ["ssh-", "ecdsa-", "sk-"].iter().any(|kind| word.starts_with(kind));
    let (options, rest) = match rest {
        [first, ..] if is_key(first) => ("", rest),
        [options, rest @ ..] => (*options, rest),
        [] => return Err("write: PRINCIPALS [OPTIONS] KEYTYPE KEY".to_owned()),
    };
    let mut signer = Signer {
        principals: principals.trim_matches('"').to_owned(),
        key: key(rest)?,
        namespaces: None,
        after: None,
        before: None,
    };
    for option in self::words(options, ',') {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = value.trim_matches('"');
        match name.to_ascii_lowercase().as_str() {
            "namespaces" => signer.namespaces = Some(value.split(',').map(str::to_owned).collect()),
            "valid-after" => signer.after = Some(moment(value)?),
            "valid-before" => signer.before = Some(moment(value)?),
            "cert-authority" => return Err("certificates are not supported; list each key".to_owned()),
            _ => return Err(format!("{name:?} is no option")),
        }
    }
    Ok(signer)
}

/// Reads `YYYYMMDDZ` or `YYYYMMDDHHMM[SS]Z`.
fn moment(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no time; write YYYYMMDDZ or YYYYMMDDHHMMSSZ, the Z for UTC");
    let digits = text.strip_suffix('Z').ok_or_else(wrong)?;
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let part = |range: std::ops::Range<usize>| {
        digits.get(range).map_or(0, |part| part.parse::<i64>().expect("they are digits"))
    };
    let (year, month, day) = (part(0..4), part(4..6), part(6..8));
    let (hour, minute, second) = (part(8..10), part(10..12), part(12..14));
    let fits =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
    if year < 1970 || !fits {
        return Err(wrong());
    }
    Ok(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// The days from 1970-01-01. Years begin in March here, so that the leap day is the last day of one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

impl Revoked {
    /// Reads public keys or their fingerprints, a line each.
    ///
    /// # Errors
    /// At the first line that is not understood.
    pub fn parse(text: &str) -> Result<Self, SignersError> {
        let fingerprint = |(line, text): (usize, &str)| {
            if text.starts_with("SHA256:") && text.len() == 50 {
                return Ok(text.to_owned());
            }
            let problem = |error| {
                let form = "write a public key, or its fingerprint as SHA256:…";
                SignersError { line, problem: format!("{error}; {form}") }
            };
            let words = words(text, ' ').into_iter().take(2).collect::<Vec<_>>();
            let key = PublicKey::from_openssh(&words.join(" ")).map_err(problem)?;
            Ok(key.fingerprint(HashAlg::Sha256).to_string())
        };
        lines(text).map(fingerprint).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn has(&self, key: &PublicKey) -> bool {
        self.0.contains(&key.fingerprint(HashAlg::Sha256).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBLM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqt";

    #[test]
    fn a_key_signs_in_its_namespace_and_time_only() {
        // 2026-01-01 and 2026-07-01, noon.
        let (winter, summer) = (1_767_268_800, 1_782_907_200);
        let rows = [
            (String::new(), [true, true]),
            ("namespaces=\"git\" ".to_owned(), [true, true]),
            ("namespaces=\"file,git\" ".to_owned(), [true, true]),
            ("namespaces=\"file\" ".to_owned(), [false, false]),
            ("valid-before=\"20260401Z\" ".to_owned(), [true, false]),
            ("valid-after=\"20260401Z\" ".to_owned(), [false, true]),
            ("valid-after=\"202601011200Z\",namespaces=\"git\" ".to_owned(), [true, true]),
            ("valid-after=\"20260101120001Z\" ".to_owned(), [false, true]),
        ];
        let key = PublicKey::from_openssh(KEY).unwrap();
        for (options, expected) in rows {
            let text = format!("# who\n\nalice@example.com {options}{KEY} a laptop\n");
            let signers = Signers::parse(&text).expect(&text);
            let found = [winter, summer].map(|time| signers.of(&key, "git", time));
            assert_eq!(
                found.each_ref().map(|found| *found == Ok(Some("alice@example.com"))),
                expected,
                "{text}"
            );
        }
        let signers = Signers::parse(&format!("alice {KEY}")).unwrap();
        let other = PublicKey::from_openssh(OTHER).unwrap();
        assert_eq!(signers.of(&other, "git", winter), Ok(None));
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error() {
        let rows = [
            (format!("alice {KEY}\nbob"), "2: write:"),
            ("alice ssh-ed25519 AAAA".to_owned(), "1: no public key"),
            (format!("* cert-authority {KEY}"), "certificates are not supported"),
            (format!("alice valid-before=\"20260101\" {KEY}"), "the Z for UTC"),
            (format!("alice valid-before=\"20261301Z\" {KEY}"), "is no time"),
            (format!("alice valid-til=\"20260101Z\" {KEY}"), "\"valid-til\" is no option"),
            ("alice ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAwEAAQ==".to_owned(), "ssh-rsa"),
        ];
        for (text, expected) in rows {
            let error = Signers::parse(&text).expect_err(&text).to_string();
            assert!(error.contains(expected), "{text}\n{error}");
        }
    }

    #[test]
    fn keys_are_revoked_by_themselves_or_by_fingerprint() {
        let key = PublicKey::from_openssh(KEY).unwrap();
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        for text in [KEY, &format!("{KEY} lost"), &fingerprint] {
            assert!(Revoked::parse(text).expect(text).has(&key), "{text}");
        }
        assert!(!Revoked::parse(OTHER).unwrap().has(&key));
        assert!(Revoked::parse("SSHKRL\n").is_err(), "a list in the binary form is not passed by");
    }
}
