//! The page at `/`: calls and transfers for people. Its files are in the binary, and know no more than the HTTP API tells every client.

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, UPGRADE, X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

const INDEX: &str = include_str!("../../page/index.html");

/// Path, type and content.
const FILES: [(&str, &str, &str); 8] = [
    ("/page/page.css", "text/css; charset=utf-8", include_str!("../../page/page.css")),
    ("/page/api.js", SCRIPT, include_str!("../../page/api.js")),
    ("/page/call.js", SCRIPT, include_str!("../../page/call.js")),
    ("/page/dom.js", SCRIPT, include_str!("../../page/dom.js")),
    ("/page/ladder.js", SCRIPT, include_str!("../../page/ladder.js")),
    ("/page/page.js", SCRIPT, include_str!("../../page/page.js")),
    ("/page/timeline.js", SCRIPT, include_str!("../../page/timeline.js")),
    ("/page/transfer.js", SCRIPT, include_str!("../../page/transfer.js")),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Nothing but the page's own files runs, and it asks nobody but its own server: what a SIP message says can do no harm.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The files, which need no token: what they show does.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |router, &(path, kind, content)| {
        router.route(path, get(move || core::future::ready(file(kind, content))))
    })
}

/// The page itself. Web sockets of the ng protocol come to the same path.
pub(super) async fn index(request: Request, next: Next) -> Response {
    let is_for_people = matches!(*request.method(), Method::GET | Method::HEAD)
        && request.uri().path() == "/"
        && !request.headers().contains_key(UPGRADE);
    if is_for_people { file("text/html; charset=utf-8", INDEX) } else { next.run(request).await }
}

fn file(kind: &'static str, content: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // Another version of the server has another page.
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> impl Iterator<Item = (&'static str, &'static str)> {
        FILES.iter().map(|&(path, _, content)| (path, content)).chain([("/", INDEX)])
    }

    /// A module that a file imports, and whatever the page links to, is served.
    #[test]
    fn whatever_the_page_loads_is_there() {
        let is_there = |path: &str| FILES.iter().any(|(name, ..)| *name == path);
        let mut found = 0;
        for (path, content) in files() {
            let loaded = content.split('"').filter_map(|text| match text.strip_prefix("./") {
                Some(module) if path.ends_with(".js") => Some(format!("/page/{module}")),
                _ => text.starts_with("/page/").then(|| text.to_owned()),
            });
            for file in loaded {
                assert!(is_there(&file), "{path} loads {file}");
                found += 1;
            }
        }
        assert!(found >= FILES.len(), "{found} are loaded");
    }

    /// What comes from the network is never made markup.
    #[test]
    fn the_page_writes_text_and_no_markup() {
        for (path, content) in files() {
            for way in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=", "onclick=\""]
            {
                assert!(!content.contains(way), "{path} has {way}");
            }
        }
    }
}
