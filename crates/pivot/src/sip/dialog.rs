//! A dialog (RFC 3261 12): who they are, how they are reached, and the numbers of the requests.

use rsipstack::sip::{HasHeaders as _, Header as Field, Method, Request, Response};

use super::build;
use super::net::Flow;
use super::text::{self, field};
use super::uri::Target;

/// A dialog, early or confirmed.
#[derive(Clone)]
pub(super) struct Dialog {
    pub call_id: Box<str>,
    /// Our From or To, with tag.
    pub local: Box<str>,
    pub local_tag: Box<str>,
    /// Theirs; without a tag if it has none.
    pub remote: Box<str>,
    pub remote_tag: Box<str>,
    /// Their Contact.
    pub target: Box<str>,
    /// The route set.
    pub routes: Vec<Box<str>>,
    pub local_cseq: u32,
    pub remote_cseq: Option<u32>,
    /// Our Contact.
    pub contact: Box<str>,
    /// The connection that they have opened.
    pub flow: Option<Flow>,
}

impl Dialog {
    /// What a request of theirs begins (RFC 3261 12.1.1). None without a Contact.
    pub(super) fn of_request(request: &Request, tag: &str, contact: Box<str>, flow: Option<Flow>) -> Option<Self> {
        let headers = request.headers();
        let (remote, to) = (text::value(headers, "From")?, text::value(headers, "To")?);
        Some(Self {
            call_id: text::value(headers, "Call-ID")?.into(),
            local: format!("{to};tag={tag}").into(),
            local_tag: tag.into(),
            remote: remote.into(),
            remote_tag: text::tag(remote).unwrap_or_default().into(),
            target: contact_of(headers)?,
            routes: text::list(headers, "Record-Route").into_iter().map(Into::into).collect(),
            local_cseq: 0,
            remote_cseq: Some(text::cseq(headers)?.0),
            contact,
            flow,
        })
    }

    /// What a response of theirs begins (RFC 3261 12.1.2). None without a tag or a Contact.
    pub(super) fn of_response(request: &Request, response: &Response, contact: Box<str>) -> Option<Self> {
        let headers = response.headers();
        let (local, remote) = (text::value(&request.headers, "From")?, text::value(headers, "To")?);
        let mut routes: Vec<Box<str>> = text::list(headers, "Record-Route").into_iter().map(Into::into).collect();
        routes.reverse();
        Some(Self {
            call_id: text::value(&request.headers, "Call-ID")?.into(),
            local: local.into(),
            local_tag: text::tag(local)?.into(),
            remote: remote.into(),
            remote_tag: text::tag(remote)?.into(),
            target: contact_of(headers)?,
            routes,
            local_cseq: text::cseq(&request.headers)?.0,
            remote_cseq: None,
            contact,
            flow: None,
        })
    }

    /// The next number of ours.
    pub(super) fn next_cseq(&mut self) -> u32 {
        self.local_cseq = self.local_cseq.wrapping_add(1);
        self.local_cseq
    }

    /// A request in it, without Via. ACK and CANCEL have the number of their INVITE.
    pub(super) fn request(&self, method: Method, cseq: u32, agent: &str) -> Option<Request> {
        let mut routes: Vec<&str> = self.routes.iter().map(|route| &**route).collect();
        let mut uri = &*self.target;
        // A strict router takes itself from the request URI (RFC 3261 12.2.1.1).
        let strict = routes.first().and_then(|first| route_uri(first)).filter(|first| !is_loose(first));
        let target = format!("<{uri}>");
        if let Some(first) = strict {
            uri = first;
            routes.remove(0);
            routes.push(&target);
        }
        let mut fields: Vec<Field> = routes.into_iter().map(|route| field("Route", route)).collect();
        fields.extend([
            field("From", &self.local),
            field("To", &self.remote),
            field("Call-ID", &self.call_id),
            field("CSeq", &format!("{cseq} {method}")),
            field("Max-Forwards", "70"),
            field("User-Agent", agent),
        ]);
        if !matches!(method, Method::Ack | Method::Bye | Method::Cancel) {
            fields.push(field("Contact", &self.contact));
        }
        build::request(method, uri, fields)
    }

    /// The URI that says where requests go.
    pub(super) fn next_hop(&self) -> &str {
        self.routes.first().and_then(|first| route_uri(first)).unwrap_or(&self.target)
    }

    /// A request or response that may change where they are (RFC 3261 12.2).
    pub(super) fn refresh(&mut self, headers: &rsipstack::sip::Headers) {
        if let Some(target) = contact_of(headers) {
            self.target = target;
        }
    }
}

fn route_uri(route: &str) -> Option<&str> {
    let uri = route.split_once('<')?.1.split_once('>')?.0;
    Some(uri)
}

fn is_loose(uri: &str) -> bool {
    Target::of(uri).is_none_or(|target| target.is_loose)
}

/// The URI of the first Contact.
fn contact_of(headers: &rsipstack::sip::Headers) -> Option<Box<str>> {
    let (address, _) = text::address(text::list(headers, "Contact").first()?)?;
    Target::of(&address.uri).is_some().then_some(address.uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(routes: &str) -> Request {
        let text = format!(
            "INVITE sip:us@h SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\n{routes}From: <sip:a@x>;tag=f\r\nTo: <sip:us@h>\r\n\
             Call-ID: c\r\nCSeq: 7 INVITE\r\nContact: <sip:a@192.0.2.1;x=1>;expires=3\r\nContent-Length: 0\r\n\r\n"
        );
        Request::try_from(&*text).expect("a request")
    }

    #[test]
    fn requests_follow_loose_routes() {
        let invite = invite("Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\nRecord-Route: <sip:p3;lr>\r\n");
        let mut dialog = Dialog::of_request(&invite, "t", "<sip:us@h>".into(), None).expect("a dialog");
        let cseq = dialog.next_cseq();
        let bye = dialog.request(Method::Bye, cseq, "x").expect("a request").to_string();
        assert!(
            bye.starts_with("BYE sip:a@192.0.2.1;x=1 SIP/2.0\r\nRoute: <sip:p1;lr>\r\nRoute: <sip:p2;lr>\r\n"),
            "{bye}"
        );
        assert!(bye.contains("From: <sip:us@h>;tag=t\r\nTo: <sip:a@x>;tag=f\r\n"), "{bye}");
        assert_eq!(dialog.next_hop(), "sip:p1;lr");
    }

    #[test]
    fn a_strict_router_gets_itself_as_the_request_uri() {
        let invite = invite("Record-Route: <sip:p1>, <sip:p2;lr>\r\n");
        let dialog = Dialog::of_request(&invite, "t", "<sip:us@h>".into(), None).expect("a dialog");
        let bye = dialog.request(Method::Bye, 1, "x").expect("a request").to_string();
        let start = "BYE sip:p1 SIP/2.0\r\nRoute: <sip:p2;lr>\r\nRoute: <sip:a@192.0.2.1;x=1>\r\n";
        assert!(bye.starts_with(start), "{bye}");
    }

    #[test]
    fn their_route_set_is_ours_backwards() {
        let invite = invite("");
        let ok = "SIP/2.0 200 OK\r\nRecord-Route: <sip:p1;lr>, <sip:p2;lr>\r\nTo: <sip:us@h>;tag=t\r\nContact: sip:b@y\r\n\r\n";
        let ok = Response::try_from(ok).expect("a response");
        let dialog = Dialog::of_response(&invite, &ok, "<sip:a@x>".into()).expect("a dialog");
        assert_eq!(dialog.routes.iter().map(|route| &**route).collect::<Vec<_>>(), ["<sip:p2;lr>", "<sip:p1;lr>"]);
        assert_eq!((&*dialog.target, &*dialog.local_tag, &*dialog.remote_tag), ("sip:b@y", "f", "t"));
    }
}
