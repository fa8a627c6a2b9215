//! ITU-T G.711: μ-law and A-law, between linear 16-bit samples and one byte a sample.
//!
//! A decoded code is the middle of its interval, scaled so that full scale of the law is full scale of the 16 bits:
//! μ-law's 14 bits are shifted by two, A-law's 13 bits by three. An encoded sample gets the interval it lies in, with
//! the decision values of tables 1a to 2b. Both are symmetrical about zero in the one's complement sense of the ITU's
//! reference code (G.191): -1 is as far below zero as 0 is above.

/// Which of the two companding laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Law {
    /// μ-law, North America and Japan.
    Mu,
    /// A-law, everywhere else.
    A,
}

impl Law {
    /// Both laws.
    pub const ALL: [Self; 2] = [Self::Mu, Self::A];

    /// The static payload type (RFC 3551, table 4).
    #[must_use]
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Mu => 0,
            Self::A => 8,
        }
    }

    /// The encoding name of SDP's rtpmap (RFC 3551, table 4).
    #[must_use]
    pub const fn encoding(self) -> &'static str {
        match self {
            Self::Mu => "PCMU",
            Self::A => "PCMA",
        }
    }

    /// The law that an encoding name means, without regard to case.
    #[must_use]
    pub fn from_encoding(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|law| law.encoding().eq_ignore_ascii_case(name))
    }

    /// The law of a static payload type.
    #[must_use]
    pub const fn from_payload_type(payload_type: u8) -> Option<Self> {
        match payload_type {
            0 => Some(Self::Mu),
            8 => Some(Self::A),
            _ => None,
        }
    }

    /// The code of a sample of zero.
    #[must_use]
    pub const fn silence(self) -> u8 {
        self.encode_sample(0)
    }

    /// The code of one sample.
    #[must_use]
    pub const fn encode_sample(self, sample: i16) -> u8 {
        match self {
            Self::Mu => encode_mu(sample),
            Self::A => encode_a(sample),
        }
    }

    /// The sample of one code.
    #[must_use]
    pub const fn decode_sample(self, code: u8) -> i16 {
        match self {
            Self::Mu => MU_SAMPLES[code as usize],
            Self::A => A_SAMPLES[code as usize],
        }
    }

    /// The codes of all `samples`.
    #[must_use]
    pub fn encode(self, samples: &[i16]) -> Vec<u8> {
        samples.iter().map(|&sample| self.encode_sample(sample)).collect()
    }

    /// The samples of all `codes`.
    #[must_use]
    pub fn decode(self, codes: &[u8]) -> Vec<i16> {
        codes.iter().map(|&code| self.decode_sample(code)).collect()
    }
}

/// Added to the 14-bit magnitude so that every segment's bounds are powers of two.
const MU_BIAS: u16 = 33;
/// The largest biased magnitude: above it the code clips (virtual decision value 8159 of table 2a).
const MU_MAX: u16 = 0x1FFF;

const MU_SAMPLES: [i16; 256] = decode_table(Law::Mu);
const A_SAMPLES: [i16; 256] = decode_table(Law::A);

const fn decode_table(law: Law) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = match law {
            Law::Mu => decode_mu(code as u8),
            Law::A => decode_a(code as u8),
        };
        code += 1;
    }
    table
}

/// The distance from zero in the one's complement sense: 0 and -1 both have magnitude 0.
const fn magnitude(sample: i16) -> u16 {
    (if sample < 0 { !sample } else { sample }) as u16
}

const fn encode_mu(sample: i16) -> u8 {
    let biased = (magnitude(sample) >> 2) + MU_BIAS;
    let biased = if biased > MU_MAX { MU_MAX } else { biased };
    // 33 has its highest bit at 5: that is segment 0.
    let segment = 15 - biased.leading_zeros() as u16 - 5;
    let step = (biased >> (segment + 1)) & 0x0F;
    let positive = if sample < 0 { 0 } else { 0x80 };
    // All magnitude bits are inverted on the line (table 2a, note 2).
    positive | (!(segment << 4 | step) as u8 & 0x7F)
}

const fn decode_mu(code: u8) -> i16 {
    let inverted = !code;
    let segment = (inverted >> 4) & 0x07;
    let step = (inverted & 0x0F) as i16;
    let biased = ((step << 1) + MU_BIAS as i16) << segment;
    let magnitude = (biased - MU_BIAS as i16) << 2;
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

/// Every other bit is inverted on the line (table 1a, note 2).
const A_INVERSION: u8 = 0x55;

const fn encode_a(sample: i16) -> u8 {
    let magnitude = magnitude(sample) >> 4;
    let bits = if magnitude < 32 {
        // The two lowest segments have the same step: the code is the magnitude.
        magnitude
    } else {
        let segment = 15 - magnitude.leading_zeros() as u16 - 3;
        segment << 4 | ((magnitude >> (segment - 1)) & 0x0F)
    };
    let positive = if sample < 0 { 0 } else { 0x80 };
    (bits as u8 | positive) ^ A_INVERSION
}

const fn decode_a(code: u8) -> i16 {
    let bits = code ^ A_INVERSION;
    let segment = (bits >> 4) & 0x07;
    let step = (bits & 0x0F) as i16;
    let magnitude = match segment {
        0 => (step << 4) + 8,
        _ => ((step << 4) + 0x108) << (segment - 1),
    };
    if bits & 0x80 == 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::rms_dbfs;

    #[test]
    fn every_code_survives_decoding_and_encoding() {
        for law in Law::ALL {
            for code in 0..=255 {
                // μ-law has two zeros; the negative one comes back as the positive one.
                let expected = if law == Law::Mu && code == 0x7F { 0xFF } else { code };
                assert_eq!(law.encode_sample(law.decode_sample(code)), expected, "{law:?} {code:#04x}");
            }
        }
    }

    #[test]
    fn decoding_what_was_encoded_never_falls() {
        for law in Law::ALL {
            let mut previous = i16::MIN;
            for sample in i16::MIN..=i16::MAX {
                let decoded = law.decode_sample(law.encode_sample(sample));
                assert!(decoded >= previous, "{law:?}: {sample} gives {decoded} after {previous}");
                previous = decoded;
            }
        }
    }

    #[test]
    fn a_sample_gets_a_code_nearest_to_it() {
        for law in Law::ALL {
            let values: Vec<i32> = (0..=255).map(|code| i32::from(law.decode_sample(code))).collect();
            for sample in (i16::MIN..=i16::MAX).step_by(7) {
                let distance = |value: i32| (value - i32::from(sample)).abs();
                let nearest = values.iter().map(|&value| distance(value)).min().expect("256 values");
                let got = distance(i32::from(law.decode_sample(law.encode_sample(sample))));
                // Between two segments G.711 puts the decision value at the segment's end, off the middle by at most
                // half of the smaller step; and below 14 (13) bits there is nothing to tell samples apart by.
                let slack = if law == Law::Mu { 4 } else { 8 } + i32::from(sample).abs() / 32;
                assert!(got <= nearest + slack, "{law:?}: {sample} is off by {got}, nearest {nearest}");
            }
        }
    }

    #[test]
    fn known_codes_of_the_tables() {
        for (code, sample) in
            [(0x00, -32124), (0x80, 32124), (0xFF, 0), (0x7F, 0), (0xFE, 8), (0x7E, -8), (0x8F, 16764), (0xEF, 132)]
        {
            assert_eq!(Law::Mu.decode_sample(code), sample, "mu {code:#04x}");
        }
        for (code, sample) in [(0x2A, -32256), (0xAA, 32256), (0xD5, 8), (0x55, -8), (0xD4, 24), (0xC5, 264)] {
            assert_eq!(Law::A.decode_sample(code), sample, "A {code:#04x}");
        }
        for (sample, mu, a) in [(0, 0xFF, 0xD5), (-1, 0x7F, 0x55), (i16::MAX, 0x80, 0xAA), (i16::MIN, 0x00, 0x2A)] {
            assert_eq!((Law::Mu.encode_sample(sample), Law::A.encode_sample(sample)), (mu, a), "{sample}");
        }
        assert_eq!((Law::Mu.silence(), Law::A.silence()), (0xFF, 0xD5));
    }

    #[test]
    fn the_digital_milliwatt_has_the_level_of_the_standard() {
        // Tables 5 and 6: a 1 kHz sine of 0 dBm0.
        let mu: Vec<u8> = [0x1E, 0x0B, 0x0B, 0x1E, 0x9E, 0x8B, 0x8B, 0x9E].repeat(100);
        let a: Vec<u8> = [0x34, 0x21, 0x21, 0x34, 0xB4, 0xA1, 0xA1, 0xB4].repeat(100);
        for (law, codes) in [(Law::Mu, mu), (Law::A, a)] {
            let level = rms_dbfs(&law.decode(&codes));
            assert!((level + crate::tone::DBM0_BELOW_FULL_SCALE_DB).abs() < 0.1, "{law:?}: {level} dBFS");
        }
    }

    #[test]
    fn names_and_numbers() {
        for law in Law::ALL {
            assert_eq!(Law::from_encoding(&law.encoding().to_lowercase()), Some(law));
            assert_eq!(Law::from_payload_type(law.payload_type()), Some(law));
        }
        assert_eq!((Law::from_encoding("G722"), Law::from_payload_type(9)), (None, None));
    }
}
