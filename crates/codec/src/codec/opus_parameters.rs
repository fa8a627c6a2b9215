//! The parameters of Opus in SDP.

/// What a party asks of the Opus that is sent to it, and tells of what it will send (RFC 7587 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpusParameters {
    /// `maxplaybackrate`: more samples a second than this are of no use to the receiver.
    pub playback_rate_max: u32,
    /// `sprop-maxcapturerate`: the sender will not send more than this.
    pub capture_rate_max: u32,
    /// `maxaveragebitrate` in bit/s, of what the receiver takes.
    pub average_bitrate_max: Option<u32>,
    /// `stereo`: the receiver would rather have two channels. It is sent one all the same.
    pub stereo: bool,
    /// `sprop-stereo`: the sender will probably send two channels.
    pub sends_stereo: bool,
    /// `cbr`: the receiver wants a constant bit rate.
    pub constant_bitrate: bool,
    /// `useinbandfec`: the receiver makes use of forward error correction.
    pub fec: bool,
    /// `usedtx`: the receiver would rather have nothing sent in silence.
    pub dtx: bool,
    /// `minptime` in milliseconds: the shortest packets that the receiver wants.
    pub min_ptime_ms: Option<u32>,
}

/// Sample rates of the parameters; RFC 7587 6.1 has 8000 to 48000.
const RATES: core::ops::RangeInclusive<u32> = 8000..=48_000;
/// Bit rates of Opus, in bit/s (RFC 7587 6.1).
pub const OPUS_BITRATES: core::ops::RangeInclusive<u32> = 6000..=510_000;

impl Default for OpusParameters {
    fn default() -> Self {
        Self {
            playback_rate_max: *RATES.end(),
            capture_rate_max: *RATES.end(),
            average_bitrate_max: None,
            stereo: false,
            sends_stereo: false,
            constant_bitrate: false,
            fec: false,
            dtx: false,
            min_ptime_ms: None,
        }
    }
}

impl OpusParameters {
    /// Reads the parameters of an fmtp line, `name=value` separated by semicolons. A name that is unknown, a value that
    /// is no number and a switch that is neither 0 nor 1 are passed over; numbers are brought into their range.
    #[must_use]
    pub fn parse(fmtp: &str) -> Self {
        let mut parameters = Self::default();
        for part in fmtp.split(';') {
            let Some((name, value)) = part.split_once('=') else { continue };
            let Ok(value) = value.trim().parse::<u32>() else { continue };
            parameters.set(name.trim(), value);
        }
        parameters
    }

    fn set(&mut self, name: &str, value: u32) {
        let rate = value.clamp(*RATES.start(), *RATES.end());
        let switch = match name.to_ascii_lowercase().as_str() {
            "maxplaybackrate" => return self.playback_rate_max = rate,
            "sprop-maxcapturerate" => return self.capture_rate_max = rate,
            "maxaveragebitrate" => {
                return self.average_bitrate_max = Some(value.clamp(*OPUS_BITRATES.start(), *OPUS_BITRATES.end()));
            }
            "minptime" => return self.min_ptime_ms = Some(value.clamp(3, super::OPUS_PACKET_MAX_MS)),
            "stereo" => &mut self.stereo,
            "sprop-stereo" => &mut self.sends_stereo,
            "cbr" => &mut self.constant_bitrate,
            "useinbandfec" => &mut self.fec,
            "usedtx" => &mut self.dtx,
            _ => return,
        };
        if value <= 1 {
            *switch = value == 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browsers_line_is_read() {
        let parameters = OpusParameters::parse("minptime=10;useinbandfec=1");
        assert_eq!(parameters, OpusParameters { min_ptime_ms: Some(10), fec: true, ..OpusParameters::default() });
    }

    #[test]
    fn all_parameters_are_read_in_any_case_and_with_spaces() {
        let line = " MaxPlaybackRate=16000; sprop-maxcapturerate = 8000;maxaveragebitrate=20000 ; stereo=1;\
            sprop-stereo=1;cbr=1; useinbandfec=1; usedtx=1";
        let expected = OpusParameters {
            playback_rate_max: 16_000,
            capture_rate_max: 8000,
            average_bitrate_max: Some(20_000),
            stereo: true,
            sends_stereo: true,
            constant_bitrate: true,
            fec: true,
            dtx: true,
            min_ptime_ms: None,
        };
        assert_eq!(OpusParameters::parse(line), expected);
    }

    #[test]
    fn nonsense_is_passed_over() {
        let line = ";;=;cbr;cbr=;cbr=yes;stereo=2;maxaveragebitrate=-1;unknown=1;maxplaybackrate=99999999999;é=1";
        assert_eq!(OpusParameters::parse(line), OpusParameters::default());
        let clamped = OpusParameters::parse("maxplaybackrate=0;maxaveragebitrate=4000000;minptime=0");
        assert_eq!(
            (clamped.playback_rate_max, clamped.average_bitrate_max, clamped.min_ptime_ms),
            (8000, Some(510_000), Some(3))
        );
    }
}
