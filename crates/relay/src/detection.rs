//! What somebody has heard of a party: found out by whoever has the codecs, not by the engine, which passes it on.

/// Something that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detection {
    /// What.
    pub what: What,
    /// How long before it was told it had begun, in milliseconds; to about 20 ms, and later by the party's jitter buffer.
    pub began_ms_ago: u32,
    /// How long it was, or has been so far, in milliseconds; 0 where it has just begun.
    pub duration_ms: u32,
    /// How sure that is, in percent: an order and no probability.
    pub confidence_percent: u8,
}

/// What can be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// Somebody speaks.
    SpeechBegins,
    /// Nobody does any more.
    SpeechEnds,
    /// Nothing for a while.
    Silence,
    /// A beep as of an answering machine.
    Beep {
        /// Its frequency.
        hz: u16,
    },
    /// The other party's telephone rings (ITU-T E.180).
    RingingTone,
    /// The other party or the network is busy (E.180).
    BusyTone,
    /// A dialling tone.
    DialTone,
    /// The three rising tones before an announcement (E.180).
    SpecialInformation,
    /// A fax machine calls (CNG, ITU-T T.30).
    FaxCng,
    /// A fax machine or a modem answers (CED, T.30; ANS, V.25).
    FaxCed,
    /// A human has answered.
    Human,
    /// A machine has answered.
    Machine,
    /// Within the time that was set it could not be told who has answered.
    Undecided,
    /// A key was pressed.
    Key {
        /// As in RFC 4733 3.2: 0 to 9, 10 for `*`, 11 for `#`, 12 to 15 for A to D.
        event: u8,
        /// Power as dBm0 with the sign dropped, 0 (loud) to 63.
        volume: u8,
        /// It was heard as tones in the audio (ITU-T Q.23), and not told as an event.
        in_band: bool,
    },
}
