//! What `chainmail check` says of objects.

use super::*;

#[test]
fn kinds_that_are_not_used_are_counted_and_those_that_matter_are_not_passed_by() {
    let others = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b}
---
some: values
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: a}
";
    let folder = folder(&[("others.yaml", others)]);
    let path = folder.path().to_str().unwrap();
    let output = chainmail(&["check", path], None);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stderr(&output);
    for part in ["2 ConfigMap not used", "1 Ingress not used", "1 document is no Kubernetes object"] {
        assert!(said.contains(part), "{part:?} in {said}");
    }

    let policy = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\n";
    write(folder.path(), "cilium.yaml", policy);
    let output = chainmail(&["check", path], None);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let output = chainmail(&["check", path, "--allow-unsupported", "CiliumNetworkPolicy"], None);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("1 CiliumNetworkPolicy not used"), "{}", stderr(&output));
}

#[test]
fn check_prints_json_lines_and_strict_spares_notes() {
    let node = "apiVersion: v1\nkind: Node\nmetadata:\n  name: n1\nspec:\n  podCIDR: 10.0.0.1/24\n";
    let folder = folder(&[("node.yaml", node)]);
    let path = folder.path().to_str().unwrap();
    let check = |args: &[&str]| {
        let output = chainmail(&[&["check", "-o", "json", path], args].concat(), None);
        let lines = String::from_utf8(output.stdout).unwrap();
        let findings: Vec<serde_json::Value> =
            lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        (output.status.code().unwrap(), findings)
    };
    let (exit, findings) = check(&[]);
    assert_eq!(exit, 0);
    let loose = findings.iter().find(|finding| finding["code"] == "loose-cidr").unwrap();
    let expected = serde_json::json!({
        "code": "loose-cidr", "severity": "warning", "file": "node.yaml", "line": 6, "column": 12,
        "message": "\"10.0.0.1/24\" has host bits; it is read as 10.0.0.0/24, and API servers from Kubernetes 1.36 on refuse it",
        "help": "write 10.0.0.0/24",
    });
    assert_eq!(*loose, expected);
    let (exit, findings) = check(&["--strict"]);
    assert_eq!(exit, 3);
    let of = |code: &str| findings.iter().find(|f| f["code"] == code).unwrap()["severity"].clone();
    assert_eq!((of("loose-cidr"), of("unknown-pods-pass")), ("error".into(), "note".into()));
}
