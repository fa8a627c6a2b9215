//! What must hold of any bytes on a control port.

use patchcord_ng::options::UNKNOWN_MAX;
use patchcord_ng::value::normal;
use patchcord_ng::{Dict, MESSAGE_LEN_MAX, Message, Options, Splitter, Value, bencode, json, stream};

/// A message, or a part of one: what was read is written and read again, and a stream ends where the value does.
pub fn bencode(bytes: &[u8]) {
    if let Ok((value, len)) = bencode::decode_prefix(bytes) {
        assert!(len <= bytes.len());
        assert_eq!(bencode::decode(&bytes[..len]).as_ref(), Ok(&value));
        assert_eq!(
            bencode::decode(&bytes[..len - 1]),
            Err(bencode::BencodeError::Truncated),
            "no beginning is a value"
        );
        let mut again = Vec::new();
        bencode::encode(&value, &mut again);
        assert_eq!(bencode::decode(&again), Ok(value));
    }
    if let Ok(dict) = json::decode(bytes) {
        assert_eq!(json::decode(&json::encode(&dict)), Ok(dict));
    }
    message(bytes);
    in_stream(bytes);
}

fn message(bytes: &[u8]) {
    let Ok(message) = Message::split(bytes) else { return };
    assert_eq!(bytes, [message.cookie, b" ", message.body].concat());
    let reply = message.dict().unwrap_or_else(|reason| Dict::new().with("error-reason", reason));
    let written = message.reply(&reply);
    let again = Message::split(&written);
    // What was a short escape or number in JSON may be longer as it is written.
    if written.len() <= MESSAGE_LEN_MAX {
        let again = again.expect("a reply is a message");
        assert_eq!((again.cookie, again.format()), (message.cookie, message.format()));
        assert_eq!(again.dict(), Ok(reply.clone()));
    }
    let options = Options::read(&reply);
    assert!(options.unknown.len() <= UNKNOWN_MAX);
}

fn in_stream(bytes: &[u8]) {
    let whole = Splitter::default().next(bytes);
    let mut splitter = Splitter::default();
    let (mut segments, mut len) = (Ok(None), 0);
    while segments == Ok(None) && len < bytes.len() {
        len = bytes.len().min(len + 1 + len / 2);
        segments = splitter.next(&bytes[..len]);
    }
    assert_eq!(whole, segments, "segments do not matter");
    let Ok(Some(end)) = whole else { return };
    assert!(end <= MESSAGE_LEN_MAX);
    let message = Message::split(stream::trim_line_ends(&bytes[..end])).expect("a stream has messages");
    if let Ok((_, len)) = bencode::decode_prefix(message.body) {
        assert_eq!(len, message.body.len(), "it ends where the value does");
    }
}

/// Flags in a string and in a list: they are read, and nothing of them grows.
pub fn flags(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert_eq!(normal(&normal(&text)), normal(&text));
    let words = Value::List(text.split(' ').map(Value::from).collect());
    let dicts = [Dict::new().with("rtpp-flags", &*text), Dict::new().with("flags", words)];
    for dict in &dicts {
        let options = Options::read(dict);
        assert_eq!(options, Options::read(dict));
        assert!(options.unknown.len() <= UNKNOWN_MAX && options.unknown.iter().all(|word| word.len() <= 100));
        assert!(options.ignored.len() <= UNKNOWN_MAX);
        let lists = [&options.direction, &options.codec.strip, &options.codec.transcode, &options.sdes.order];
        let kept: usize = lists.iter().flat_map(|list| list.iter()).map(String::len).sum();
        assert!(kept <= text.len(), "what is kept was said");
        let _ = options.dtmf_event();
    }
}
