//! A node: a network namespace with chains and sets of others, a folder, and `chainmaild` with both.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use chainmail_contract::{Family, SetKind};

use super::{Done, Namespace, Snapshot, set_of};

pub(crate) const BACKENDS: [&str; 2] = ["nft", "legacy"];

/// Takes the tools of IPv6 away in a mount namespace of its own: the folder that they are in gets another before it.
pub(crate) const HIDE_IP6TABLES: &str = "folder=$(mktemp -d) && mount -t tmpfs tmpfs $folder && \
    mkdir $folder/up $folder/work && \
    mount -t overlay overlay -o lowerdir=/usr/sbin,upperdir=$folder/up,workdir=$folder/work /usr/sbin && \
    rm /usr/sbin/ip6tables*";

/// Says why the tests cannot run here. In CI they must.
pub(crate) fn skipped() -> bool {
    let works = |words: &[&str]| {
        let status = std::process::Command::new(words[0]).args(&words[1..]).output();
        status.is_ok_and(|output| output.status.success())
    };
    let probes: [&[&str]; 4] = [
        &["unshare", "-n", "iptables-nft", "-S"],
        &["unshare", "-n", "iptables-legacy", "-S"],
        &["unshare", "-n", "ipset", "list"],
        &["unshare", "-n", "sh", "-c", "nsenter -t $$ -n true"],
    ];
    let Some(missing) = probes.into_iter().find(|probe| !works(probe)) else { return false };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "in CI this must work: {missing:?}");
    eprintln!("SKIPPED: needs root and the tools of iptables and ipset; this failed: {missing:?}");
    true
}

/// One pod, 10.8.0.9, that `peers` reach on `port`.
pub(crate) fn policy(peers: &[&str], port: u16) -> Snapshot {
    let isolated = set_of(Family::V4, SetKind::HashIp, &["10.8.0.9"]);
    let peers4 = set_of(Family::V4, SetKind::HashNet, peers);
    // ipset prints the last of these as it stands; Rust alone would print ::102:304.
    let peers6 = set_of(Family::V6, SetKind::HashIpPort, &["fd00::7,tcp:80", "::1.2.3.4,udp:53"]);
    let class = format!("CM-I-{port:016x}");
    let v4 = format!(
        "*filter\n:CM-FORWARD - [0:0]\n:{class} - [0:0]\n:CM-INGRESS - [0:0]\n:CM-INVALID - [0:0]\n\
         -A CM-FORWARD -m conntrack --ctstate ESTABLISHED -j RETURN\n\
         -A CM-FORWARD -p icmp -m conntrack --ctstate RELATED -j RETURN\n\
         -A CM-FORWARD -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m set --match-set cm4-CUT src,src,dst -j REJECT --reject-with tcp-reset\n\
         -A CM-FORWARD ! -p tcp -m set --match-set cm4-CUT src,src,dst -j DROP\n\
         -A CM-FORWARD -m conntrack --ctstate INVALID -g CM-INVALID\n\
         -A CM-FORWARD -m set --match-set {isolated} dst -g CM-INGRESS\n\
         -A {class} -p tcp -m multiport --dports {port},443 -m set --match-set {peers4} src -m comment --comment \"shop/web ingress[0] +2\" -j RETURN\n\
         -A {class} -j DROP\n\
         -A CM-INGRESS -s 10.8.0.9/32 -d 10.8.0.9/32 -j RETURN\n\
         -A CM-INGRESS -d 10.8.0.9/32 -g {class}\n\
         -A CM-INGRESS -j DROP\n\
         -A CM-INVALID -m set --match-set {isolated} dst -j DROP\n\
         COMMIT\n",
        isolated = isolated.0,
        peers4 = peers4.0,
    );
    let isolated6 = set_of(Family::V6, SetKind::HashIp, &["fd00::9"]);
    let class = format!("CM-E-{port:016x}");
    let v6 = format!(
        "*filter\n:{class} - [0:0]\n:CM-EGRESS - [0:0]\n:CM-FORWARD - [0:0]\n\
         -A {class} -m set --match-set {peers6} dst,dst -j RETURN\n\
         -A {class} -j DROP\n\
         -A CM-EGRESS -s fd00::9/128 -g {class}\n\
         -A CM-EGRESS -j DROP\n\
         -A CM-FORWARD -m conntrack --ctstate ESTABLISHED -j RETURN\n\
         -A CM-FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 135 -m hl --hl-eq 255 -j RETURN\n\
         -A CM-FORWARD -m set --match-set {isolated6} src -j CM-EGRESS\n\
         COMMIT\n",
        peers6 = peers6.0,
        isolated6 = isolated6.0,
    );
    Snapshot::new(v4, v6, [isolated, peers4, peers6, isolated6])
}

/// How a tool of a test knows IPv6 rules that it is to refuse, as a kernel does at the commit.
pub(crate) const REFUSED: &str = "^-A CM-E-00000000deadbeef";

/// The same snapshot with IPv6 rules that no kernel of [`Node::refusing`] takes. Those of IPv4 are committed by then.
pub(crate) fn refused(snapshot: &Snapshot) -> Snapshot {
    let class = "CM-E-00000000deadbeef";
    let v6 = format!("*filter\n:{class} - [0:0]\n:CM-FORWARD - [0:0]\n-A {class} -j DROP\nCOMMIT\n");
    Snapshot::new(snapshot.v4.clone(), v6, snapshot.sets.clone())
}

/// Loads what a node has before Chainmail comes: chains and sets of others, referring to each other.
pub(crate) fn load_foreign(namespace: &Namespace, backend: &str) {
    namespace.ok(
        &["ipset", "restore"],
        "create KUBE-X hash:ip,port,ip family inet\nadd KUBE-X 10.9.9.9,tcp:80,10.9.9.8\n\
         create cm5-x hash:net family inet6\nadd cm5-x fd00::/8\n",
    );
    // As kube-proxy, Docker and Calico leave it, in that order of starting.
    let v4 = "*nat\n-A POSTROUTING -s 10.8.0.0/16 -j MASQUERADE\nCOMMIT\n*filter\n:FORWARD DROP [0:0]\n\
              :KUBE-FORWARD - [0:0]\n:KUBE-PROXY-FIREWALL - [0:0]\n:XCM-FORWARD - [0:0]\n:DOCKER - [0:0]\n\
              :DOCKER-ISOLATION-STAGE-1 - [0:0]\n:DOCKER-USER - [0:0]\n:cali-FORWARD - [0:0]\n\
              :cali-from-wl-dispatch - [0:0]\n-A INPUT -i lo -j ACCEPT\n\
              -A FORWARD -m comment --comment \"cali:wUHhoiAYhphO9Mso\" -j cali-FORWARD\n\
              -A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-ISOLATION-STAGE-1\n\
              -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
              -A FORWARD -o docker0 -j DOCKER\n-A FORWARD -i docker0 ! -o docker0 -j ACCEPT\n\
              -A FORWARD -m conntrack --ctstate NEW -m comment --comment \"kubernetes load balancer firewall\" -j KUBE-PROXY-FIREWALL\n\
              -A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD\n-A FORWARD -j XCM-FORWARD\n\
              -A FORWARD -m comment --comment \"cali:S93hcgKJrXEqnTfs\" -m mark --mark 0x10000/0x10000 -j ACCEPT\n\
              -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP\n\
              -A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT\n\
              -A KUBE-FORWARD -m set --match-set KUBE-X src,src,dst -j ACCEPT\n\
              -A DOCKER-ISOLATION-STAGE-1 -j RETURN\n-A DOCKER-USER -j RETURN\n\
              -A cali-FORWARD -m comment --comment \"cali:vjrMJCRpqwy5oRoX\" -j MARK --set-xmark 0x0/0xe0000\n\
              -A cali-FORWARD -i cali+ -m comment --comment \"cali:A_sPAO0mcxbT9mOV\" -j cali-from-wl-dispatch\n\
              -A cali-from-wl-dispatch -m comment --comment \"cali:zTj6P0TIgYvgz-md\" -j DROP\nCOMMIT\n";
    namespace.ok(&[&format!("iptables-{backend}-restore")], v4);
    let v6 = "*filter\n-A FORWARD -m set --match-set cm5-x src -j ACCEPT\nCOMMIT\n";
    namespace.ok(&[&format!("ip6tables-{backend}-restore")], v6);
}

/// A namespace, a folder, and `chainmaild` with both.
pub(crate) struct Node {
    pub(crate) namespace: Namespace,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) backend: &'static str,
}

impl Node {
    pub(crate) fn new(backend: &'static str) -> Self {
        Self::with(Namespace::new(), tempfile::tempdir().unwrap(), backend)
    }

    /// One whose kernel refuses the IPv6 rules of [`refused`].
    pub(crate) fn refusing(backend: &'static str) -> Self {
        let refuse =
            format!("! grep -q '{REFUSED}' \"$text\" || exit 1\nexec \"$tool\" \"$@\" < \"$text\"\n");
        Self::with_restore(backend, &refuse)
    }

    /// One whose tools of the name `iptables-restore` do what a script says: `$text` is the file that they are to read, and
    /// `$tool` the program itself.
    pub(crate) fn with_restore(backend: &'static str, script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tools = folder.path().join("tools");
        std::fs::create_dir(&tools).unwrap();
        let at = folder.path().display();
        for family in ["iptables", "ip6tables"] {
            let name = format!("{family}-{backend}-restore");
            let head = format!(
                "#!/bin/sh\ntext=$(mktemp {at}/text.XXXXXX); cat > \"$text\"\ntool=/usr/sbin/{name}\n"
            );
            std::fs::write(tools.join(&name), head + script).unwrap();
            std::fs::set_permissions(tools.join(&name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self::with(Namespace::with_tools(&tools), folder, backend)
    }

    pub(crate) fn with(namespace: Namespace, folder: tempfile::TempDir, backend: &'static str) -> Self {
        let node = Self { namespace, folder, backend };
        load_foreign(&node.namespace, backend);
        node
    }

    pub(crate) fn chainmaild(&self, words: &[&str]) -> Done {
        let state_dir = self.folder.path().join("run");
        let program = [env!("CARGO_BIN_EXE_chainmaild")];
        let state_dir = ["--state-dir", state_dir.to_str().unwrap()];
        self.namespace.run(&[&program, words, &state_dir].concat(), "")
    }

    pub(crate) fn apply(&self, dir: &Path, more: &[&str]) -> Done {
        let words = ["apply", "--once", dir.to_str().unwrap(), "--node", "n1", "--backend", self.backend];
        self.chainmaild(&[&words, more].concat())
    }

    pub(crate) fn tree(&self, name: &str, snapshot: &Snapshot) -> PathBuf {
        let dir = self.folder.path().join(name);
        snapshot.write_tree(&dir);
        dir
    }

    pub(crate) fn joined(&self, name: &str, snapshot: &Snapshot) -> PathBuf {
        let dir = self.folder.path().join(name);
        snapshot.write_joined(&dir);
        dir
    }

    pub(crate) fn state(&self) -> String {
        self.namespace.state(self.backend)
    }

    /// The state without what is ours: lines that name our chains or sets.
    pub(crate) fn foreign_state(&self) -> String {
        let ours = [
            ":CM-",
            "-A CM-",
            "-A FORWARD -j CM-FORWARD",
            "create cm4-",
            "create cm6-",
            "add cm4-",
            "add cm6-",
        ];
        let state = self.state();
        let lines = state.lines().filter(|line| !ours.iter().any(|ours| line.starts_with(ours)));
        lines.flat_map(|line| [line, "\n"]).collect()
    }

    /// Fails unless the kernel holds exactly this snapshot's chains and sets, the jump first.
    pub(crate) fn assert_holds(&self, snapshot: &Snapshot) {
        for (family, tool, text) in
            [(Family::V4, "iptables", &snapshot.v4), (Family::V6, "ip6tables", &snapshot.v6)]
        {
            let saved = self.namespace.ok(&[&format!("{tool}-{}-save", self.backend), "-t", "filter"], "");
            let of = |text: &str| {
                let mut lines: Vec<_> =
                    text.lines().filter(|l| l.starts_with(":CM-")).map(str::to_owned).collect();
                lines.sort();
                let rules = text.lines().filter(|line| line.starts_with("-A CM-")).map(str::to_owned);
                let mut rules: Vec<_> = rules.collect();
                // Order counts within a chain only.
                rules.sort_by(|a, b| a.split(' ').nth(1).cmp(&b.split(' ').nth(1)));
                lines.extend(rules);
                lines
            };
            assert_eq!(of(&saved), of(text), "{family}");
            let forward: Vec<_> = saved.lines().filter(|line| line.starts_with("-A FORWARD")).collect();
            assert_eq!(forward[0], "-A FORWARD -j CM-FORWARD", "{family}");
            assert_eq!(forward.iter().filter(|line| line.contains(" CM-")).count(), 1, "{family}");
        }
        let names = self.namespace.ok(&["ipset", "list", "-n"], "");
        let mut names: Vec<_> =
            names.lines().filter(|name| name.starts_with("cm4-") || name.starts_with("cm6-")).collect();
        names.sort_unstable();
        assert_eq!(names, snapshot.sets.keys().map(|name| name.as_str()).collect::<Vec<_>>());
    }
}

pub(crate) fn assert_code(done: &Done, code: i32) {
    assert_eq!(done.code, code, "{}{}", done.out, done.err);
}
