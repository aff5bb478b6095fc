//! The keys of ssh remotes, from a file in the form of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT. A host that it does not
//! have is not spoken to.

use ssh_key::known_hosts::{HostPatterns, KnownHosts, Marker};
use ssh_key::{HashAlg, PublicKey};
use thiserror::Error;

/// A host that is not believed to be the one that it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HostsError {
    /// A line is not understood.
    #[error("known_hosts: {0}")]
    Line(String),
    /// No line names the host.
    #[error(
        "known_hosts has no key of {host}, which shows {shown}; compare it with the host's own, then add the line that `ssh-keyscan` prints"
    )]
    Unknown {
        /// The host.
        host: String,
        /// The key's kind and fingerprint.
        shown: String,
    },
    /// The host shows another key.
    #[error("{host} shows {shown}, and known_hosts has another key for it: somebody may be in between")]
    Other {
        /// The host.
        host: String,
        /// The key's kind and fingerprint.
        shown: String,
    },
    /// The key was lost.
    #[error("{host} shows {shown}, which known_hosts says is revoked")]
    Revoked {
        /// The host.
        host: String,
        /// The key's kind and fingerprint.
        shown: String,
    },
}

/// Compares the key that a host shows, in the form of the wire, with a file's text.
///
/// # Errors
/// When it is not one that the file has for the host.
pub fn check(text: &str, host: &str, key: &[u8]) -> Result<(), HostsError> {
    let shown = match PublicKey::from_bytes(key) {
        Ok(key) => format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256)),
        Err(_) => "a key of an unknown kind".to_owned(),
    };
    let host = host.to_ascii_lowercase();
    let (mut named, mut known) = (false, false);
    for entry in KnownHosts::new(text) {
        let entry = entry.map_err(|error| HostsError::Line(error.to_string()))?;
        let HostPatterns::Patterns(patterns) = entry.host_patterns() else {
            let problem =
                "hashed names are not supported; use the lines that `ssh-keyscan` prints without -H";
            return Err(HostsError::Line(problem.to_owned()));
        };
        if !names(patterns, &host) {
            continue;
        }
        let same = entry.public_key().to_bytes().is_ok_and(|bytes| bytes == key);
        match entry.marker() {
            Some(Marker::Revoked) if same => return Err(HostsError::Revoked { host, shown }),
            Some(Marker::Revoked | Marker::CertAuthority) => {}
            None => {
                named = true;
                known |= same;
            }
        }
    }
    match (named, known) {
        (_, true) => Ok(()),
        (true, false) => Err(HostsError::Other { host, shown }),
        (false, false) => Err(HostsError::Unknown { host, shown }),
    }
}

/// Whether a list of patterns names a host: one that excludes it decides.
fn names(patterns: &[String], host: &str) -> bool {
    let matching = |pattern: &str| matches(pattern.to_ascii_lowercase().as_bytes(), host.as_bytes());
    let excluded = patterns.iter().filter_map(|pattern| pattern.strip_prefix('!')).any(matching);
    !excluded && patterns.iter().any(|pattern| !pattern.starts_with('!') && matching(pattern))
}

fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], []) => matches(rest, text),
        ([b'*', rest @ ..], [_, behind @ ..]) => matches(rest, text) || matches(pattern, behind),
        ([b'?', rest @ ..], [_, text @ ..]) => matches(rest, text),
        ([a, rest @ ..], [b, text @ ..]) => a == b && matches(rest, text),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBLM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqt";

    #[test]
    fn only_a_key_that_the_file_has_for_the_host_will_do() {
        let key = PublicKey::from_openssh(KEY).unwrap().to_bytes().unwrap();
        let rows = [
            (format!("git.example.com {KEY}\n"), "fine"),
            (format!("# hosts\n*.example.com {KEY}\n"), "fine"),
            (format!("git.example.com {OTHER}\nother,GIT.example.com {KEY}\n"), "fine"),
            (format!("git.example.com {OTHER}\n"), "another key"),
            (format!("gitxexample.com {KEY}\n"), "has no key"),
            (format!("*.example.com,!git.example.com {KEY}\n"), "has no key"),
            (format!("[git.example.com]:2222 {KEY}\n"), "has no key"),
            (format!("git.example.com {KEY}\n@revoked * {KEY}\n"), "revoked"),
            (format!("@cert-authority *.example.com {KEY}\n"), "has no key"),
            (format!("|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= {KEY}\n"), "hashed names"),
            (String::new(), "has no key"),
        ];
        for (text, expected) in rows {
            let found = check(&text, "git.example.com", &key);
            let found = found.map_or_else(|error| error.to_string(), |()| "fine".to_owned());
            assert!(found.contains(expected), "{text}\n{found}");
        }
    }
}
