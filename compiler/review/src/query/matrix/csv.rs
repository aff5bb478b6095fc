//! Comma-separated values, as RFC 4180 has them.

use super::{Matrix, Question};

impl Matrix {
    /// One record a pair and family: `from,to,family,service,verdict` of one service, else `from,to,family,allowed`.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = String::from(match self.question {
            Question::Services => "from,to,family,allowed\n",
            Question::Service(_) => "from,to,family,service,verdict\n",
        });
        for (source, destination, by_family) in self.pairs() {
            for (family, allowed) in by_family {
                let mut fields =
                    vec![source.who.to_string(), destination.who.to_string(), family.to_string()];
                match self.question {
                    Question::Services => fields.push(allowed.to_string()),
                    Question::Service(service) => {
                        let verdict = if allowed.is_none() { "deny" } else { "allow" };
                        fields.extend([service.to_string(), verdict.to_owned()]);
                    }
                }
                let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
                text.push_str(&fields.join(","));
                text.push('\n');
            }
        }
        text
    }
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
