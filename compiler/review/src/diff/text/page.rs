//! Lines of at most 100 columns.

use chainmail_contract::escape;
use chainmail_findings::Style;

/// What a line is about, and so its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    /// More is let through.
    Opens,
    /// Less is.
    Closes,
    /// The world is let in.
    World,
}

impl Tone {
    fn colour(self) -> &'static str {
        match self {
            Tone::Plain => "",
            Tone::Opens => "\x1b[32m",
            Tone::Closes => "\x1b[31m",
            Tone::World => "\x1b[1;31m",
        }
    }
}

pub(super) const WIDTH: usize = 100;

/// What was printed so far.
pub(super) struct Page {
    text: String,
    lines: usize,
    style: Style,
}

impl Page {
    pub(super) fn new(style: Style) -> Self {
        Self { text: String::new(), lines: 0, style }
    }

    /// As many rows as fit into so many lines, the first one in any case; answers how many do not fit.
    pub(super) fn rows<T>(
        &mut self,
        rows: &[T],
        lines: usize,
        mut print: impl FnMut(&T, &mut Self),
    ) -> usize {
        let until = self.lines.saturating_add(lines);
        for (place, row) in rows.iter().enumerate() {
            let before = (self.text.len(), self.lines);
            print(row, self);
            if self.lines > until && place > 0 {
                self.text.truncate(before.0);
                self.lines = before.1;
                return rows.len() - place;
            }
        }
        0
    }

    pub(super) fn text(self) -> String {
        self.text
    }

    /// A line; what is too long goes on in further ones, which are indented.
    pub(super) fn line(&mut self, tone: Tone, indent: usize, text: &str) {
        let text = escape::line(text);
        let mut line = " ".repeat(indent);
        let mut is_first = true;
        for word in text.split(' ') {
            let width = line.chars().count() + word.chars().count() + usize::from(!is_first);
            if !is_first && width > WIDTH {
                self.print(tone, &line);
                line = " ".repeat(indent + 4);
                is_first = true;
            }
            if !is_first {
                line.push(' ');
            }
            line.push_str(word);
            is_first = false;
        }
        self.print(tone, &line);
    }

    /// Items with something between them, in as many lines as they need.
    pub(super) fn list(&mut self, first: &str, between: &str, items: &[String]) {
        let mut line = escape::line(first);
        let mut is_first = first.is_empty() || first.ends_with(' ');
        for item in items.iter().map(|item| escape::line(item)) {
            let piece = if is_first { item.clone() } else { format!("{between}{item}") };
            if line.chars().count() + piece.chars().count() > WIDTH && !line.trim().is_empty() {
                self.print(Tone::Plain, line.trim_end());
                line = format!("    {item}");
            } else {
                line.push_str(&piece);
            }
            is_first = false;
        }
        self.print(Tone::Plain, &line);
    }

    fn print(&mut self, tone: Tone, line: &str) {
        self.lines += 1;
        match (self.style, tone.colour()) {
            (Style::Coloured, colour) if !colour.is_empty() => {
                self.text.push_str(&format!("{colour}{line}\x1b[0m\n"));
            }
            _ => {
                self.text.push_str(line);
                self.text.push('\n');
            }
        }
    }
}

/// As much of a list as fits into so many columns, and how many more there are.
pub(super) fn cut<'t>(items: impl ExactSizeIterator<Item = &'t str>, between: &str, width: usize) -> String {
    let all = items.len();
    let mut text = String::new();
    for (place, item) in items.enumerate() {
        let more = all - place - 1;
        let rest = if more > 0 { format!(" +{more} more").len() } else { 0 };
        let gap = if place == 0 { 0 } else { between.len() };
        if place > 0 && text.chars().count() + gap + item.chars().count() + rest > width {
            return format!("{text} +{} more", all - place);
        }
        if place > 0 {
            text.push_str(between);
        }
        text.push_str(item);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_wider_than_the_page() {
        let mut page = Page::new(Style::Plain);
        page.line(Tone::Opens, 2, &"word ".repeat(60));
        page.list("first: ", "; ", &vec!["an item".to_owned(); 40]);
        let text = page.text();
        assert!(text.lines().count() > 6 && text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert_eq!(text.matches("an item").count(), 40);
        assert_eq!(cut(["a", "b", "c"].into_iter(), ", ", 20), "a, b, c");
        assert_eq!(cut(["aaaa", "bbbb", "cccc"].into_iter(), ", ", 12), "aaaa +2 more");
    }
}
