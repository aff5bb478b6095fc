//! A List is read item by item, as if it were read whole.

use chainmail_findings::Severity;
use proptest::prelude::*;

use super::*;

#[test]
fn text_that_only_looks_like_items_is_read_as_what_it_is() {
    let list = |note: &str, rest: &str| {
        let pod = pod("a", "10.0.0.1")
            .replace("metadata:\n", &format!("metadata:\n  annotations:\n    note: {note}\n"));
        format!("{}{rest}", yaml_list(&[&pod, &pod.replace("name: a", "name: b").replace("0.0.1", "0.0.2")]))
    };
    let plain = "apiVersion: v1\n- kind: Pod";
    let rows = [
        ("a quoted text with a dash at column 0", list("\"x\n- kind: Pod\n  y\"", "")),
        ("a quoted text with a key at column 0", list("'x\nkind: Other\n  y'", "")),
        ("a bracket that goes on at column 0", list("[x,\n- 1]", "")),
        ("a block scalar", list(&format!("|\n        {}", plain.replace('\n', "\n        ")), "")),
        (
            "an alias of another item's anchor",
            list("x", "").replacen("note: x", "note: &x x", 1).replacen("note: x", "note: *x", 1),
        ),
        ("a second document", list("x", "---\n") + &pod("c", "10.0.0.3")),
        ("a comment at column 0", list("x # y\n# z", "")),
    ];
    for (what, text) in rows {
        let whole = text.replacen("apiVersion: v1\n", "\"apiVersion\": v1\n", 1);
        let (cut, uncut) = (loaded("", &text), loaded("", &whole));
        assert_eq!(endpoints(&cut), endpoints(&uncut), "{what}: {text}");
        assert_eq!(codes(&cut), codes(&uncut), "{what}: {text}");
        let is_yaml = what != "a bracket that goes on at column 0";
        assert_eq!(endpoints(&cut).len() >= 2, is_yaml, "{what}: {:?}", codes(&cut));
    }
}

/// Texts that look like YAML's own signs.
fn odd_text() -> impl Strategy<Value = String> {
    let parts = [
        "a",
        " ",
        "\n",
        "- ",
        "items:",
        "kind: List",
        "---",
        "...",
        "#",
        ": ",
        "\"",
        "'",
        "|",
        "é",
        "{",
        "]",
        "\t",
        "&x",
        "*x",
        "%",
    ];
    prop::collection::vec(prop::sample::select(parts.to_vec()), 0..8).prop_map(|parts| parts.concat())
}

prop_compose! {
    fn object()(
        namespace in prop::bool::weighted(0.2),
        name in "[a-d]{1,2}",
        address in 1u8..9,
        notes in prop::collection::btree_map(odd_text(), odd_text(), 0..4),
        list in prop::collection::vec(odd_text(), 0..3),
        broken in prop::bool::weighted(0.1),
    ) -> serde_json::Value {
        let kind = if namespace { "Namespace" } else { "Pod" };
        let phase = if broken { serde_json::json!(7) } else { serde_json::json!("Running") };
        serde_json::json!({
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {"name": name, "annotations": notes},
            "spec": {"list": list},
            "status": {"podIP": format!("10.0.0.{address}"), "phase": phase},
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever stands in its texts, a List that is cut line by line has the objects that the List as a whole has, and
    /// the same is said about them at the same places.
    #[test]
    fn cutting_an_inventory_changes_nothing(objects in prop::collection::vec(object(), 0..6)) {
        let list = serde_json::json!({"apiVersion": "v1", "items": objects, "kind": "List"});
        let plain = serde_yaml::to_string(&list).unwrap();
        let whole = plain.replacen("apiVersion: v1\n", "\"apiVersion\": v1\n", 1);
        let cut = loaded("", &plain);
        let seen = |loaded: &Loaded| {
            let pods: Vec<String> = loaded.cluster.pods().map(|(_, pod)| format!("{} {:?} {:?}", pod.pod_ref(), pod.addresses, pod.state)).collect();
            let namespaces: Vec<String> = loaded.cluster.namespaces().map(|namespace| namespace.name.to_string()).collect();
            (pods, namespaces, codes(loaded))
        };
        let uncut = loaded("", &whole);
        prop_assert_eq!(seen(&cut), seen(&uncut));
        let streamed = {
            let text = serde_json::to_string(&list).unwrap();
            load(&Sources::default().with_inventories([Inventory::from_bytes("live.json", text.into_bytes())]))
        };
        prop_assert_eq!((seen(&streamed).0, seen(&streamed).1), (seen(&uncut).0, seen(&uncut).1));
        let severe = |loaded: &Loaded| loaded.findings.count(Severity::Error);
        prop_assert_eq!(severe(&streamed), severe(&uncut));
    }
}
