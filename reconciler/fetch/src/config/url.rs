//! Where a remote is.

use std::fmt;
use std::path::PathBuf;

/// A remote as it was written, and what it comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    url: String,
    /// How it is spoken to.
    pub transport: Transport,
}

/// How a remote is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// A repository on this host.
    Local(PathBuf),
    /// Git's own protocol, which is neither encrypted nor authenticated: signatures must do.
    Git,
    /// TLS.
    Https,
    /// ssh.
    Ssh {
        /// The host as `known_hosts` names it: with its port, where that is not 22.
        host: String,
        /// The user.
        user: String,
    },
}

impl Remote {
    /// Takes a URL, the form `user@host:path` of ssh, or a path.
    #[must_use]
    pub fn new(url: &str) -> Option<Self> {
        let transport = match url.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => Transport::Local(PathBuf::from(path)),
            Some(("git", _)) => Transport::Git,
            // A password in the URL would stand in the status, which everyone may read.
            Some(("https", rest)) if !authority(rest).contains('@') => Transport::Https,
            Some(("ssh", rest)) => {
                let (place, _) = rest.split_once('/')?;
                let (user, host) = place.rsplit_once('@').unwrap_or(("git", place));
                let host = match host.rsplit_once(':') {
                    Some((host, "22")) => host.to_owned(),
                    Some((host, port)) if !port.ends_with(']') => {
                        format!("[{}]:{port}", host.trim_matches(['[', ']']))
                    }
                    _ => host.trim_matches(['[', ']']).to_owned(),
                };
                Transport::Ssh { host, user: user.to_owned() }
            }
            Some(_) => return None,
            None if url.starts_with('/') => Transport::Local(PathBuf::from(url)),
            None => {
                let (place, _) = url.split_once(':')?;
                let (user, host) = place.split_once('@')?;
                Transport::Ssh { host: host.to_owned(), user: user.to_owned() }
            }
        };
        Some(Self { url: url.to_owned(), transport })
    }

    /// Whether a URL leads to the same host and port.
    #[must_use]
    pub fn is_at(&self, url: &str) -> bool {
        let place = |url: &str| {
            let (scheme, rest) = url.split_once("://")?;
            let place = authority(rest).rsplit('@').next()?;
            Some((scheme.to_ascii_lowercase(), place.trim_end_matches(":443").to_ascii_lowercase()))
        };
        place(url).is_some() && place(url) == place(&self.url)
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// The user, host and port of a URL, from behind its scheme.
fn authority(rest: &str) -> &str {
    rest.split('/').next().unwrap_or_default()
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_for_one_host() {
        let remote = Remote::new("https://git.example.com/policies.git").unwrap();
        for (url, same) in [
            ("https://git.example.com/policies.git", true),
            ("https://GIT.example.com:443/other", true),
            ("https://git.example.com.evil.example/policies.git", false),
            ("https://git.example.com@evil.example/", false),
            ("https://git.example.com:8443/policies.git", false),
            ("http://git.example.com/policies.git", false),
            ("git.example.com", false),
        ] {
            assert_eq!(remote.is_at(url), same, "{url}");
        }
    }

    #[test]
    fn urls_are_told_apart() {
        let ssh =
            |host: &str, user: &str| Some(Transport::Ssh { host: host.to_owned(), user: user.to_owned() });
        let rows = [
            ("/srv/policies.git", Some(Transport::Local("/srv/policies.git".into()))),
            ("file:///srv/policies.git", Some(Transport::Local("/srv/policies.git".into()))),
            ("https://git.example.com/policies.git", Some(Transport::Https)),
            ("git://127.0.0.1/policies", Some(Transport::Git)),
            ("ssh://git@git.example.com/policies", ssh("git.example.com", "git")),
            ("ssh://alice@git.example.com:2222/p", ssh("[git.example.com]:2222", "alice")),
            ("ssh://git@[::1]:2222/p", ssh("[::1]:2222", "git")),
            ("ssh://git@[::1]/p", ssh("::1", "git")),
            ("ssh://git.example.com:22/p", ssh("git.example.com", "git")),
            ("git@git.example.com:net/policies.git", ssh("git.example.com", "git")),
            ("http://git.example.com/policies.git", None),
            ("https://user:secret@git.example.com/policies.git", None),
            ("ext::sh -c id", None),
            ("policies", None),
        ];
        for (url, transport) in rows {
            assert_eq!(Remote::new(url).map(|remote| remote.transport), transport, "{url}");
        }
    }
}
