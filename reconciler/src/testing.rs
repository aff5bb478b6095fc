//! Snapshots for unit tests.

use std::collections::BTreeMap;

use chainmail_contract::{
    Family, Joined, Manifest, Member, Parts, SetKind, SetName, Sha256Hex, content_name, cut_set_name,
};

use crate::apply::{Change, apply};
use crate::desired::Desired;
use crate::files;
use crate::kernel::Kernel as _;
use crate::kernel::fake::FakeKernel;
use crate::paths::Paths;
use crate::place::Place;

/// A set of addresses, by its content name, and its text.
pub(crate) fn set_of(family: Family, members: &[&str]) -> (SetName, String) {
    let members = members.iter().map(|member| Member::parse(SetKind::HashIp, member).unwrap()).collect();
    let name = content_name(family, SetKind::HashIp, &members);
    let mut text =
        format!("create {name} hash:ip family {} hashsize 64 maxelem 65536\n", family.ipset_word());
    for member in members {
        text += &format!("add {name} {member}\n");
    }
    (name, text)
}

/// The text of the set of cut flows.
pub(crate) fn cut_set(family: Family) -> (SetName, String) {
    let name = cut_set_name(family);
    let text = format!(
        "create {name} hash:ip,port,ip family {} hashsize 64 maxelem 65536 timeout 86400\n",
        family.ipset_word()
    );
    (name, text)
}

/// A rule text with these lines: `:` and chains are made from the rules.
pub(crate) fn rules(chains: &[(&str, &[&str])]) -> String {
    let mut text = "*filter\n".to_owned();
    for (chain, _) in chains {
        text += &format!(":{chain} - [0:0]\n");
    }
    for (chain, rules) in chains {
        for rule in *rules {
            text += &format!("-A {chain} {rule}\n");
        }
    }
    text + "COMMIT\n"
}

/// A snapshot of node `n1` with right digests.
pub(crate) fn snapshot(v4: &str, v6: &str, sets: &[(SetName, String)]) -> Joined {
    let sets: BTreeMap<_, _> = sets.iter().cloned().collect();
    let cut = [cut_set(Family::V4), cut_set(Family::V6)];
    let parts = Parts { rules_v4: Sha256Hex::of(v4), rules_v6: Sha256Hex::of(v6) };
    let digests = sets.iter().filter(|(name, _)| !cut.iter().any(|(cut, _)| cut == *name));
    let digests = digests.map(|(name, text)| (name.clone(), Sha256Hex::of(text))).collect();
    let manifest = Manifest::new("n1".parse().unwrap(), parts, digests);
    Joined::new(manifest, v4.to_owned(), v6.to_owned(), sets).unwrap()
}

/// A small policy: packets from `members` to pod 10.0.0.9 on `port`, one chain a class, in both families.
pub(crate) fn policy(members: &[&str], port: u16) -> Desired {
    Desired::of_snapshot(&policy_snapshot(members, port)).unwrap()
}

/// The same, as a snapshot of node `n1`.
pub(crate) fn policy_snapshot(members: &[&str], port: u16) -> Joined {
    let set = set_of(Family::V4, members);
    let [isolated, isolated6] = [(Family::V4, "10.0.0.9"), (Family::V6, "fd00::9")]
        .map(|(family, address)| set_of(family, &[address]));
    let class = format!("CM-I-{port:016x}");
    let allow = format!("-p tcp -m tcp --dport {port} -m set --match-set {} src -j RETURN", set.0);
    let judged = |set: &SetName| format!("-m set --match-set {set} dst -g CM-INGRESS");
    let v4 = rules(&[
        ("CM-FORWARD", &["-m conntrack --ctstate ESTABLISHED -j RETURN", &judged(&isolated.0)]),
        (&class, &[&allow, "-j DROP"]),
        ("CM-INGRESS", &[&format!("-d 10.0.0.9/32 -g {class}"), "-j DROP"]),
    ]);
    let v6 = rules(&[
        ("CM-FORWARD", &[&judged(&isolated6.0)]),
        (&class, &["-j DROP"]),
        ("CM-INGRESS", &[&format!("-d fd00::9/128 -g {class}"), "-j DROP"]),
    ]);
    snapshot(&v4, &v6, &[set, isolated, isolated6, cut_set(Family::V4), cut_set(Family::V6)])
}

/// A kernel that holds a policy and nothing else.
pub(crate) fn applied(desired: &Desired) -> FakeKernel {
    let mut kernel = FakeKernel::new();
    let live = kernel.live().unwrap();
    apply(&mut kernel, Change { desired, place: &Place::First, old: None }, &live).unwrap();
    kernel
}

/// Writes a snapshot as fetch does, and wants it.
pub(crate) fn spool(paths: &Paths, snapshot: &Joined) {
    let digest = &snapshot.manifest().digest;
    let (manifest, ipsets) = (snapshot.manifest().to_json(), snapshot.ipsets());
    let [v4, v6] = Family::ALL.map(|family| snapshot.rules(family));
    files::make_dir(&paths.spool()).unwrap();
    let parts =
        [("manifest.json", manifest.as_str()), ("ipsets", &ipsets), ("rules.v4", v4), ("rules.v6", v6)];
    files::write_folder(&paths.spooled(digest), &parts).unwrap();
    files::replace(&paths.desired(), &format!("{digest}\n")).unwrap();
}

/// All that a kernel holds, line by line.
pub(crate) fn state_of(kernel: &mut FakeKernel) -> Vec<String> {
    let tables = kernel.tables.iter().flat_map(|(family, table)| {
        table.iter().map(move |(chain, rules)| format!("{family} {chain} {rules:?}"))
    });
    tables.chain(kernel.sets.iter().map(|set| format!("{set:?}"))).collect()
}
