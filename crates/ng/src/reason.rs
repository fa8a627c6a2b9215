//! Texts of `error-reason` and `warning` that other programs recognise or operators look for.

/// Nothing follows the cookie.
pub const NO_PAYLOAD: &str = "Invalid data (no payload)";
/// What follows the cookie is neither bencode nor JSON, or is no dictionary.
pub const BAD_FORMAT: &str = "Invalid NG data format";
/// The bencode cannot be read; where follows.
pub const BAD_BENCODE: &str = "Could not decode bencode dictionary";
/// The JSON cannot be read; where follows.
pub const BAD_JSON: &str = "Failed to parse JSON document";
/// No such call.
pub const UNKNOWN_CALL: &str = "Unknown call-id";
/// No such call, as the commands about its media say it.
pub const UNKNOWN_CALL_MEDIA: &str = "Unknown call-ID";
/// The request has no `call-id`.
pub const NO_CALL_ID: &str = "No call-id in message";
/// The request has no `from-tag`.
pub const NO_FROM_TAG: &str = "No from-tag in message";
/// The request has no `to-tag`.
pub const NO_TO_TAG: &str = "No to-tag in message";
/// The request has no `sdp`.
pub const NO_SDP: &str = "No SDP body in message";
/// The SDP cannot be read.
pub const BAD_SDP: &str = "Failed to parse SDP";
/// The SDP lacks what relaying needs.
pub const INCOMPLETE_SDP: &str = "Incomplete SDP specification";
/// The tags are not two sides of one dialogue.
pub const BAD_DIALOGUE: &str = "Invalid dialogue association";
/// A command that nobody knows.
pub const UNKNOWN_COMMAND: &str = "Unrecognized command";
/// The request has no `command`.
pub const NO_COMMAND: &str = "Dictionary contains no key \"command\"";
/// No more calls: Kamailio tries another relay on exactly this text.
pub const TOO_MANY_CALLS: &str = "Parallel session limit reached";
/// No more ports: Kamailio tries another relay on exactly this text.
pub const NO_PORTS: &str = "Ran out of ports";
/// A tag that a `subscribe answer` or `unsubscribe` names, and nobody has.
pub const UNKNOWN_TO_TAG: &str = "To-tag not found";
/// The SDP of a `subscribe answer` is no answer to what was offered.
pub const BAD_SUBSCRIPTION_ANSWER: &str = "Failed to process subscription answer";
/// A `subscribe request` for nobody.
pub const NO_PUBLISHER: &str = "No monologues matched";
/// A `subscribe request` for all parties of a call that has none.
pub const NO_PARTICIPANT: &str = "No call participant specified";
/// The `limit` of a `list` is below zero.
pub const BAD_LIMIT: &str = "invalid limit, must be >= 0";
/// The `warning` of a `delete` that found nothing to delete.
pub const NOTHING_DELETED: &str = "Call-ID not found or tags didn't match";
