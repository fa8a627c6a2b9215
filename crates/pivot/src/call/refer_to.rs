//! `Refer-To` (RFC 3515 2.1): whom the transferor wants to be called.

use super::replaces::{Replaces, ReplacesError};
use super::uri::{Uri, UriError, unescape};
use crate::message::Header;

/// No header field is longer.
const LONGEST: usize = 4096;

/// A `Refer-To` that asks for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferTo {
    /// Who is to be called: without what was embedded and without `method`.
    pub target: Uri,
    /// The dialog of the target that the call takes the place of: an attended transfer.
    pub replaces: Option<Replaces>,
    /// Embedded header fields whose name begins with `X-`.
    pub extra: Vec<Header>,
    /// Names of embedded header fields that are not passed on.
    pub ignored: Vec<Box<str>>,
}

/// Why there is nobody to be called. 400, but for the method, which nobody said to be wrong: 603.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferToError {
    /// None, or more than one (RFC 3515 2.4.2).
    #[error("a REFER has exactly one Refer-To, not {0}")]
    Count(usize),
    /// Longer than any.
    #[error("Refer-To has at most {LONGEST} characters, not {0}")]
    TooLong(usize),
    /// `<` without `>`, or something behind it that is no parameter.
    #[error("Refer-To is a URI, or a name and a URI in < and >")]
    Form,
    /// The URI.
    #[error("in Refer-To: {0}")]
    Uri(#[from] UriError),
    /// `method` other than INVITE.
    #[error("only calls can be asked for, not {0:?}")]
    Method(Box<str>),
    /// The embedded `Replaces`.
    #[error("in Refer-To: {0}")]
    Replaces(#[from] ReplacesError),
    /// More than one of them.
    #[error("Refer-To has more than one Replaces")]
    TwoReplaces,
}

impl ReferTo {
    /// Reads every `Refer-To` of a REFER.
    ///
    /// # Errors
    /// [`ReferToError`]: what was wrong.
    pub fn of(fields: &[Box<str>]) -> Result<Self, ReferToError> {
        let [field] = fields else { return Err(ReferToError::Count(fields.len())) };
        if field.len() > LONGEST {
            return Err(ReferToError::TooLong(field.len()));
        }
        let mut target: Uri = addr_spec(field)?.parse()?;
        // Without brackets `method` is where parameters of the header field are: both mean the same.
        if let Some(method) = target.param("method").filter(|method| !method.eq_ignore_ascii_case("INVITE")) {
            return Err(ReferToError::Method(method.into()));
        }
        target.params.retain(|(name, _)| !name.eq_ignore_ascii_case("method"));
        let (mut replaces, mut extra, mut ignored) = (None, Vec::new(), Vec::new());
        for (name, value) in core::mem::take(&mut target.headers) {
            let (name, value) = (unescape(&name)?, unescape(&value)?);
            if name.eq_ignore_ascii_case("Replaces") {
                if replaces.replace(value.parse()?).is_some() {
                    return Err(ReferToError::TwoReplaces);
                }
            } else if is_extra(&name) {
                extra.push(Header { name: name.into(), value: value.into() });
            } else {
                ignored.push(name.into());
            }
        }
        Ok(Self { target, replaces, extra, ignored })
    }
}

/// Whether a header field of this name is the customer's own, to be passed on.
pub(crate) fn is_extra(name: &str) -> bool {
    let is_token = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    name.len() > 2 && name.len() <= 64 && is_token && name.get(..2).is_some_and(|x| x.eq_ignore_ascii_case("X-"))
}

/// The URI of a name-addr or of an addr-spec (RFC 3261 20.10).
///
/// # Errors
/// [`ReferToError::Count`] where a comma separates two, and [`ReferToError::Form`].
pub fn addr_spec(field: &str) -> Result<&str, ReferToError> {
    let field = field.trim();
    let display_end = if field.starts_with('"') { quoted_end(field).ok_or(ReferToError::Form)? } else { 0 };
    let (display, rest) = field.split_at(display_end);
    let Some((name, rest)) = rest.split_once('<') else {
        return match (display.is_empty(), field.contains(',')) {
            (true, false) => Ok(field),
            (true, true) => Err(ReferToError::Count(field.split(',').count())),
            (false, _) => Err(ReferToError::Form),
        };
    };
    if name.contains([',', '>']) {
        return Err(ReferToError::Count(2));
    }
    let (uri, behind) = rest.split_once('>').ok_or(ReferToError::Form)?;
    match behind.trim_start().chars().next() {
        None => Ok(uri),
        Some(';') if !behind.contains([',', '<']) => Ok(uri),
        Some(',' | ';') => Err(ReferToError::Count(2)),
        Some(_) => Err(ReferToError::Form),
    }
}

/// Where a quoted string ends that the text begins with.
fn quoted_end(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(fields: &[&str]) -> Result<ReferTo, ReferToError> {
        ReferTo::of(&fields.iter().map(|&field| field.into()).collect::<Vec<_>>())
    }

    #[test]
    fn every_form_of_one_target_is_read() {
        for (field, target) in [
            ("sip:a@b", "sip:a@b"),
            ("<sip:a@b;transport=tcp>", "sip:a@b;transport=tcp"),
            ("\"A, \\\"B\\\" <x>\" <sip:a@b>;x=y", "sip:a@b"),
            ("Alice <sip:a@b;method=INVITE>", "sip:a@b"),
            ("tel:+1-555;phone-context=x", "tel:+1-555;phone-context=x"),
            ("  <sips:a@b>  ", "sips:a@b"),
        ] {
            assert_eq!(read(&[field]).map(|refer_to| refer_to.target.to_string()), Ok(target.into()), "{field}");
        }
    }

    #[test]
    fn none_and_two_and_what_is_no_target_is_refused() {
        for (fields, error) in [
            (&[][..], ReferToError::Count(0)),
            (&["sip:a@b", "sip:c@d"], ReferToError::Count(2)),
            (&["<sip:a@b>, <sip:c@d>"], ReferToError::Count(2)),
            (&["sip:a@b, sip:c@d"], ReferToError::Count(2)),
            (&["sip:a@b, <sip:c@d>"], ReferToError::Count(2)),
            (&["<sip:a@b>;x, <sip:c@d>"], ReferToError::Count(2)),
            (&["<sip:a@b"], ReferToError::Form),
            (&["<sip:a@b> x"], ReferToError::Form),
            (&["\"a <sip:a@b>"], ReferToError::Form),
            (&["<sip:a@b;method=BYE>"], ReferToError::Method("BYE".into())),
            (&["<sip:a@b?Replaces=x>"], ReferToError::Replaces(ReplacesError::Tags)),
            (&["<sip:a@b?X-A=b%0D%0ARoute:%20evil>"], ReferToError::Uri(UriError::Char('\r'))),
        ] {
            assert_eq!(read(fields), Err(error), "{fields:?}");
        }
    }

    #[test]
    fn embedded_fields_are_told_apart() {
        let field = "<sip:c@d?Replaces=id%40h%3Bto-tag%3D1%3Bfrom-tag%3D2&Require=replaces&X-Case=4%207&Route=evil>";
        let refer_to = read(&[field]).expect("a target");
        assert_eq!(refer_to.replaces.expect("Replaces").to_string(), "id@h;to-tag=1;from-tag=2");
        assert_eq!(refer_to.extra, [Header { name: "X-Case".into(), value: "4 7".into() }]);
        assert_eq!(refer_to.ignored, ["Require".into(), "Route".into()]);
        assert_eq!(refer_to.target.to_string(), "sip:c@d");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_read_or_refused_and_what_was_read_reads_the_same_again(
            field in prop_oneof![
                any::<String>(),
                "(\"[a,<\\\\\"]{0,4}\" ?|[a-b ,]{0,3})<?(sip|tel):[0-9a-b@.;=?&%X-]{0,20}>?[;,a<> ]{0,3}",
                "<sip:a@b\\?(Replaces|X-A|B)=[a-b%340;=]{0,20}(&Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc)?>",
            ]
        ) {
            if let Ok(refer_to) = ReferTo::of(&[field.into()]) {
                let again = ReferTo::of(&[format!("<{}>", refer_to.target).into()]).expect("what was read");
                prop_assert_eq!(again.target, refer_to.target);
                prop_assert!(refer_to.extra.iter().all(|header| !header.value.contains(['\r', '\n'])));
            }
        }
    }
}
