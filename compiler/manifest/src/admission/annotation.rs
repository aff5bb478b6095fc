//! Annotations. They mean nothing for traffic; a policy with bad ones never comes to be.

use chainmail_findings::{Code, FieldPath};

use super::Scope;
use super::label::{KEY_FORM, is_key};
use super::written::{self, Part};
use crate::Annotations;

/// The most bytes of an object's annotations, keys and values together (`TotalAnnotationSizeLimitB` of apimachinery).
const TOTAL_BYTES: usize = 256 << 10;

/// Reports annotations that the API server would not take (`ValidateAnnotations` of apimachinery).
pub(super) fn check(scope: &mut Scope<'_>, annotations: Option<&Annotations>) {
    let path = FieldPath::root().key("metadata").key("annotations");
    let mut bytes = 0;
    for (key, value) in annotations.iter().flat_map(|annotations| &annotations.0) {
        bytes += key.len() + value.len();
        let path = path.key(key.clone());
        written::check(scope, &path, key, Part::Key);
        written::check(scope, &path, value, Part::Value);
        // Unlike a label's key it may have capital letters before the `/`.
        if !is_key(&key.to_ascii_lowercase()) {
            let message = format!("{key:?} cannot be an annotation's key");
            scope.report_key(Code::BadAnnotation, &path, message, KEY_FORM);
        }
    }
    if bytes > TOTAL_BYTES {
        let message = format!("the annotations have {bytes} bytes; the API server takes {TOTAL_BYTES}");
        scope.report(Code::BadAnnotation, &path, message);
    }
}
