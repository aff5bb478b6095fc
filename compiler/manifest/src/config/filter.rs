//! Which files of a folder or revision are manifests.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Patterns of paths. A file is read if one pattern matches it and no exclusion does; dot files and files in dot
/// folders never are.
#[derive(Debug, Clone, Default)]
pub struct FileFilter {
    include: Option<GlobSet>,
    exclude: Option<GlobSet>,
}

impl FileFilter {
    /// Takes glob patterns of paths from the root; one with `!` before it excludes. Where all exclude, the default is
    /// what they exclude from. `*` stays within a folder, `**` does not.
    ///
    /// # Errors
    /// With the index of the pattern that is none, and why.
    pub fn new(patterns: &[&str]) -> Result<Self, (usize, globset::Error)> {
        let mut include = GlobSetBuilder::new();
        let mut exclude = GlobSetBuilder::new();
        let mut includes = false;
        for (index, pattern) in patterns.iter().enumerate() {
            let (set, pattern) = match pattern.strip_prefix('!') {
                Some(rest) => (&mut exclude, rest),
                None => {
                    includes = true;
                    (&mut include, *pattern)
                }
            };
            let glob = GlobBuilder::new(pattern).literal_separator(true).build().map_err(|e| (index, e))?;
            set.add(glob);
        }
        let last = patterns.len().saturating_sub(1);
        let build = |set: GlobSetBuilder| set.build().map_err(|e| (last, e));
        Ok(Self {
            include: if includes { Some(build(include)?) } else { None },
            exclude: Some(build(exclude)?),
        })
    }

    /// Whether the file of this path is read.
    #[must_use]
    pub fn reads(&self, path: &str) -> bool {
        let hidden = path.split('/').any(|part| part.starts_with('.'));
        let included = match &self.include {
            Some(set) => set.is_match(path),
            None => is_manifest(path),
        };
        included && !hidden && !self.exclude.as_ref().is_some_and(|set| set.is_match(path))
    }
}

/// Whether a path is one that is read where nothing else is said: every `*.yaml`, `*.yml` and `*.json`.
fn is_manifest(path: &str) -> bool {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension);
    extension
        .is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_include_and_exclude() {
        let rows: &[(&[&str], &str, bool)] = &[
            (&[], "a/b.yaml", true),
            (&[], "b.txt", false),
            (&[], "b.YAML", true),
            (&[], ".github/b.yaml", false),
            (&["*.yaml"], "b.yaml", true),
            (&["*.yaml"], "a/b.yaml", false),
            (&["**/*.yaml"], "a/b.yaml", true),
            (&["**/*.yaml"], "b.yaml", true),
            (&["**/*.yaml"], ".a/b.yaml", false),
            (&["policies/**", "!**/kustomization.yaml"], "policies/x/p.yaml", true),
            (&["policies/**", "!**/kustomization.yaml"], "policies/x/kustomization.yaml", false),
            (&["!vendor/**"], "a/b.yml", true),
            (&["!vendor/**"], "vendor/b.yml", false),
        ];
        for (patterns, path, expected) in rows {
            assert_eq!(FileFilter::new(patterns).unwrap().reads(path), *expected, "{patterns:?} on {path}");
        }
    }
}
