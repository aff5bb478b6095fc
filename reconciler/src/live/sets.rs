//! Our sets, parsed from `ipset save`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chainmail_contract::{Member, SetName, is_cut_set};
use chainmail_verdict::record::{Create, entries, set_texts};

use super::LiveError;
use crate::members::MemberList;
use crate::set::Shape;

/// One of our sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSet {
    /// Type, family and options.
    pub shape: Shape,
    /// The members that are members of this type.
    pub members: MemberList,
    /// What else is in it, as printed: entries with `nomatch` or a timeout, or of a type that rules do not use. The
    /// entries of a set of cut flows are a node's own and are not read.
    pub others: BTreeSet<String>,
}

/// Our sets by name.
pub type LiveSets = BTreeMap<SetName, Rc<LiveSet>>;

/// Reads what `ipset save` prints, again and again. A set is parsed anew only when its text is another than the last
/// time: sets change seldom, and the kernel prints one that did not change byte for byte as before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetReader {
    last: BTreeMap<SetName, (String, Rc<LiveSet>)>,
}

impl SetReader {
    /// Reads a text, and leaves out sets that are not ours.
    ///
    /// # Errors
    /// When a line is neither `create` nor `add`.
    pub fn read(&mut self, text: &str) -> Result<LiveSets, LiveError> {
        let mut last = BTreeMap::new();
        for block in set_texts(text) {
            let head = block.lines().next().unwrap_or_default();
            let create = Create::parse(head).ok_or_else(|| LiveError::Set(head.to_owned()))?;
            let Ok(name) = create.name.parse::<SetName>() else { continue };
            let known = self.last.remove(&name).filter(|(text, _)| text == block);
            let read = match known {
                Some(known) => known,
                None => (block.to_owned(), Rc::new(LiveSet::parse(&name, Shape::of(&create), block)?)),
            };
            last.insert(name, read);
        }
        let sets = last.iter().map(|(name, (_, set))| (name.clone(), Rc::clone(set))).collect();
        self.last = last;
        Ok(sets)
    }
}

impl LiveSet {
    /// Reads the lines behind a set's `create` line. The kernel prints members in the order of its hash.
    fn parse(name: &SetName, shape: Shape, block: &str) -> Result<Self, LiveError> {
        let kind = shape.kind();
        let (mut members, mut others) = (Vec::new(), BTreeSet::new());
        let add = format!("add {name} ");
        for line in entries(block).skip(1) {
            let entry = line.strip_prefix(&*add).ok_or_else(|| LiveError::Set(line.to_owned()))?;
            if is_cut_set(name) {
                continue;
            }
            match kind.and_then(|kind| Member::parse(kind, entry).ok()) {
                Some(member) => members.push(member),
                None => drop(others.insert(entry.to_owned())),
            }
        }
        Ok(Self { shape, members: members.into(), others })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_others_are_left_out_and_strange_entries_are_kept_apart() {
        let sets = SetReader::default().read(
            "create KUBE-X hash:ip family inet hashsize 64\nadd KUBE-X 10.0.0.9\n\
             create cm4-a hash:net family inet hashsize 64 maxelem 10 bucketsize 12 initval 0x1\n\
             add cm4-a 10.0.0.0/8\nadd cm4-a 10.1.0.0/16 nomatch\n\
             create Y hash:ip family inet comment\nadd Y 10.0.0.9 comment \"\ncreate cm4-b hash:ip\"\n\
             create cm4-CUT hash:ip,port,ip family inet timeout 86400\nadd cm4-CUT 1.1.1.1,tcp:1,2.2.2.2 timeout 9\n",
        )
        .unwrap();
        assert_eq!(sets.len(), 2);
        let a = &sets[&"cm4-a".parse().unwrap()];
        assert_eq!(a.members.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8"]);
        assert_eq!(a.others.iter().collect::<Vec<_>>(), ["10.1.0.0/16 nomatch"]);
        assert!(sets[&"cm4-CUT".parse().unwrap()].others.is_empty());
        assert!(SetReader::default().read("Name: cm4-a\n").is_err());
    }

    #[test]
    fn a_set_is_parsed_again_only_when_its_text_changes() {
        let mut reader = SetReader::default();
        let text = |member: &str| {
            format!(
                "create cm4-a hash:ip family inet\nadd cm4-a {member}\ncreate cm4-b hash:ip family inet\nadd cm4-b 10.0.0.2\n"
            )
        };
        let [first, again, changed] =
            ["10.0.0.1", "10.0.0.1", "10.0.0.9"].map(|member| reader.read(&text(member)).unwrap());
        let [a, b] = ["cm4-a", "cm4-b"].map(|name| name.parse::<SetName>().unwrap());
        assert!(Rc::ptr_eq(&first[&a], &again[&a]) && Rc::ptr_eq(&first[&b], &changed[&b]));
        assert_eq!(changed, SetReader::default().read(&text("10.0.0.9")).unwrap());
        assert!(reader.read("").unwrap().is_empty());
    }
}
