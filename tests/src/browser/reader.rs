//! A browser that somebody reads a page in: Chromium without a window, told what to do by its `DevTools` protocol.

use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::{CHROMIUM, QUIET, user_data};
use crate::folder::Folder;
use crate::process::Process;
use crate::wait::{PATIENCE, poll};

/// A running browser with one page.
#[derive(Debug)]
pub struct Reader {
    devtools: WebSocket<TcpStream>,
    requests: u64,
    process: Process,
    _folder: Folder,
}

impl Reader {
    /// A browser that shows what is at an address.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn open(name: &'static str, url: &str) -> Self {
        let unique = format!("reader-{name}-{}", std::process::id());
        let folder = Folder::create(&std::env::temp_dir().to_string_lossy(), &unique);
        let path = folder.path();
        let mut command = CHROMIUM.command();
        command.args(QUIET).arg(user_data(path)).env("HOME", path).env("TMPDIR", path);
        command.args(["--remote-debugging-port=0", "--window-size=1400,1000", url]);
        let process = Process::start(name, command.stdin(Stdio::null()).stdout(Stdio::null()));
        let devtools = poll(|| page_of(path)).unwrap_or_else(|| panic!("{name} has no page: {}", process.stderr()));
        let mut reader = Self { devtools, requests: 0, process, _folder: folder };
        // Before that it has nowhere to evaluate anything.
        let is_loaded = json!({"expression": "location.href !== 'about:blank' && document.readyState === 'complete'", "returnByValue": true});
        let loaded = poll(|| {
            let said = reader.command("Runtime.evaluate", &is_loaded).ok()?;
            (said["result"]["value"] == true).then_some(())
        });
        assert!(loaded.is_some(), "{name}: {url} is not loaded: {}", reader.process.stderr());
        reader
    }

    /// The value of an expression in the page, once its promise is fulfilled.
    ///
    /// # Panics
    /// If it throws.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut said =
            self.command("Runtime.evaluate", &parameters).unwrap_or_else(|error| panic!("{expression}: {error}"));
        assert!(said["exceptionDetails"].is_null(), "{expression}: {said:#}");
        said["result"]["value"].take()
    }

    /// Waits until an expression is true in the page.
    ///
    /// # Panics
    /// If it does not become so.
    pub fn wait_until(&mut self, expression: &str) {
        let found = poll(|| (self.value(expression) == Value::Bool(true)).then_some(()));
        assert!(found.is_some(), "waited {PATIENCE:?} in vain for {expression}; the page says: {}", self.text());
    }

    /// Waits until the page says something.
    ///
    /// # Panics
    /// If it does not.
    pub fn must_say(&mut self, text: &str) {
        self.wait_until(&format!("document.body.innerText.includes({})", json!(text)));
    }

    /// What it says.
    #[must_use]
    pub fn text(&mut self) -> String {
        self.value("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    fn command(&mut self, method: &str, parameters: &Value) -> Result<Value, Value> {
        self.requests += 1;
        let id = self.requests;
        let request = json!({"id": id, "method": method, "params": parameters}).to_string();
        self.devtools.send(Message::text(request)).expect("the browser is there");
        loop {
            let message =
                self.devtools.read().unwrap_or_else(|error| panic!("{method}: {error}: {}", self.process.stderr()));
            let Message::Text(text) = message else { continue };
            let mut said: Value = serde_json::from_str(&text).expect("JSON");
            // Anything else is an event that nobody has asked for.
            if said["id"] == id {
                return if said["error"].is_null() { Ok(said["result"].take()) } else { Err(said["error"].take()) };
            }
        }
    }
}

/// The way to the browser's page, once it has told where it listens.
fn page_of(folder: &Path) -> Option<WebSocket<TcpStream>> {
    let told = std::fs::read_to_string(folder.join("profile/DevToolsActivePort")).ok()?;
    let host = format!("127.0.0.1:{}", told.lines().next()?);
    let pages: Value = ureq::get(format!("http://{host}/json/list")).call().ok()?.body_mut().read_json().ok()?;
    let page = pages.as_array()?.iter().find(|page| page["type"] == "page")?;
    let stream = TcpStream::connect(&host).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    tungstenite::client(page["webSocketDebuggerUrl"].as_str()?, stream).ok().map(|(socket, _)| socket)
}
