//! One line a pair.

use super::Matrix;

impl Matrix {
    /// The answers as lines: `shop/web -> shop/db  tcp/5432`, in columns.
    #[must_use]
    pub fn list(&self) -> String {
        let width = |ends: &mut dyn Iterator<Item = String>| ends.map(|end| end.len()).max().unwrap_or(0);
        let from = width(&mut self.sources.iter().map(|end| end.who.to_string()));
        let to = width(&mut self.destinations.iter().map(|end| end.who.to_string()));
        let mut text = String::new();
        for (source, destination, allowed) in self.pairs() {
            let (source, destination) = (source.who.to_string(), destination.who.to_string());
            let words = self.words(allowed);
            text.push_str(&format!("{source:from$} -> {destination:to$}  {words}\n"));
        }
        text
    }
}
