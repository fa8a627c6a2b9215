//! The ringing and busy tones of national networks.
//!
//! Frequencies and cadences are those of ITU-T E.180, supplement 2, "Various tones used in national networks"; for
//! Australia and New Zealand, whose entries there allow several, those of ACIF S002 and Telepermit TNA 102.

use core::fmt;
use core::str::FromStr;

use crate::audio::Audio;
use crate::tone::CadencedTone;

/// A country whose tones are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "a variant is the country's code; COUNTRIES gives its name")]
pub enum Country {
    At,
    Au,
    Be,
    Br,
    Ca,
    Ch,
    Cn,
    De,
    Es,
    Fi,
    Fr,
    It,
    Jp,
    Nl,
    No,
    Nz,
    Pl,
    Pt,
    Se,
    Uk,
    Us,
}

impl Country {
    /// All countries, by code.
    pub fn all() -> impl Iterator<Item = Self> {
        COUNTRIES.iter().map(|entry| entry.country)
    }

    /// The code that [`FromStr`] takes: the two letters of ISO 3166-1, and `uk` for the United Kingdom.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.entry().code
    }

    /// The English name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The tone that says: the other party's telephone rings.
    #[must_use]
    pub fn ringback_tone(self) -> CadencedTone {
        self.entry().ringback
    }

    /// The tone that says: the other party is busy.
    #[must_use]
    pub fn busy_tone(self) -> CadencedTone {
        self.entry().busy
    }

    /// The ringing tone as audio that can be looped; see [`CadencedTone::audio`].
    #[must_use]
    pub fn ringback(self) -> Audio {
        self.ringback_tone().audio()
    }

    /// The busy tone as audio that can be looped; see [`CadencedTone::audio`].
    #[must_use]
    pub fn busy(self) -> Audio {
        self.busy_tone().audio()
    }

    fn entry(self) -> &'static Entry {
        &COUNTRIES[self as usize]
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The code is not one of a country whose tones are known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no tones are known for country {code:?}; known: {}", known_codes())]
pub struct UnknownCountry {
    /// What was given.
    pub code: String,
}

fn known_codes() -> String {
    COUNTRIES.iter().map(|entry| entry.code).collect::<Vec<_>>().join(", ")
}

impl FromStr for Country {
    type Err = UnknownCountry;

    /// Takes a code in any case; `gb` means `uk`.
    fn from_str(code: &str) -> Result<Self, UnknownCountry> {
        let wanted = if code.eq_ignore_ascii_case("gb") { "uk" } else { code };
        COUNTRIES
            .iter()
            .find(|entry| entry.code.eq_ignore_ascii_case(wanted))
            .map(|entry| entry.country)
            .ok_or_else(|| UnknownCountry { code: code.to_owned() })
    }
}

struct Entry {
    country: Country,
    code: &'static str,
    name: &'static str,
    ringback: CadencedTone,
    busy: CadencedTone,
}

const fn tone(partials: &'static [(f64, f64)], cadence_ms: &'static [u32]) -> CadencedTone {
    CadencedTone { partials, cadence_ms }
}

const fn entry(
    country: Country,
    code: &'static str,
    name: &'static str,
    ringback: CadencedTone,
    busy: CadencedTone,
) -> Entry {
    Entry { country, code, name, ringback, busy }
}

const HZ_400: &[(f64, f64)] = &[(400.0, 1.0)];
const HZ_420: &[(f64, f64)] = &[(420.0, 1.0)];
const HZ_425: &[(f64, f64)] = &[(425.0, 1.0)];
const HZ_440: &[(f64, f64)] = &[(440.0, 1.0)];
const HZ_450: &[(f64, f64)] = &[(450.0, 1.0)];
const HZ_400_450: &[(f64, f64)] = &[(400.0, 1.0), (450.0, 1.0)];
const HZ_413_438: &[(f64, f64)] = &[(413.0, 1.0), (438.0, 1.0)];
const HZ_440_480: &[(f64, f64)] = &[(440.0, 1.0), (480.0, 1.0)];
const HZ_480_620: &[(f64, f64)] = &[(480.0, 1.0), (620.0, 1.0)];
/// 400 Hz wholly modulated by 16 Hz, as its carrier and two side bands.
const HZ_400_BY_16: &[(f64, f64)] = &[(384.0, 0.5), (400.0, 1.0), (416.0, 0.5)];

/// Two short rings, then a pause.
const DOUBLE_RING: &[u32] = &[400, 200, 400, 2000];

use Country as C;

/// In the order of [`Country`].
const COUNTRIES: [Entry; 21] = [
    entry(C::At, "at", "Austria", tone(HZ_420, &[1000, 5000]), tone(HZ_420, &[400, 400])),
    entry(C::Au, "au", "Australia", tone(HZ_413_438, DOUBLE_RING), tone(HZ_425, &[375, 375])),
    entry(C::Be, "be", "Belgium", tone(HZ_425, &[1000, 3000]), tone(HZ_425, &[500, 500])),
    entry(C::Br, "br", "Brazil", tone(HZ_425, &[1000, 4000]), tone(HZ_425, &[250, 250])),
    entry(C::Ca, "ca", "Canada", tone(HZ_440_480, &[2000, 4000]), tone(HZ_480_620, &[500, 500])),
    entry(C::Ch, "ch", "Switzerland", tone(HZ_425, &[1000, 4000]), tone(HZ_425, &[500, 500])),
    entry(C::Cn, "cn", "China", tone(HZ_450, &[1000, 4000]), tone(HZ_450, &[350, 350])),
    entry(C::De, "de", "Germany", tone(HZ_425, &[1000, 4000]), tone(HZ_425, &[480, 480])),
    entry(C::Es, "es", "Spain", tone(HZ_425, &[1500, 3000]), tone(HZ_425, &[200, 200])),
    entry(C::Fi, "fi", "Finland", tone(HZ_425, &[1000, 4000]), tone(HZ_425, &[300, 300])),
    entry(C::Fr, "fr", "France", tone(HZ_440, &[1500, 3500]), tone(HZ_440, &[500, 500])),
    entry(C::It, "it", "Italy", tone(HZ_425, &[1000, 4000]), tone(HZ_425, &[500, 500])),
    entry(C::Jp, "jp", "Japan", tone(HZ_400_BY_16, &[1000, 2000]), tone(HZ_400, &[500, 500])),
    entry(C::Nl, "nl", "Netherlands", tone(HZ_425, &[1000, 4000]), tone(HZ_425, &[500, 500])),
    entry(C::No, "no", "Norway", tone(HZ_425, &[1000, 4000]), tone(HZ_425, &[500, 500])),
    entry(C::Nz, "nz", "New Zealand", tone(HZ_400_450, DOUBLE_RING), tone(HZ_400, &[500, 500])),
    entry(C::Pl, "pl", "Poland", tone(HZ_425, &[1000, 4000]), tone(HZ_425, &[500, 500])),
    entry(C::Pt, "pt", "Portugal", tone(HZ_425, &[1000, 5000]), tone(HZ_425, &[500, 500])),
    entry(C::Se, "se", "Sweden", tone(HZ_425, &[1000, 5000]), tone(HZ_425, &[250, 250])),
    entry(C::Uk, "uk", "United Kingdom", tone(HZ_400_450, DOUBLE_RING), tone(HZ_400, &[375, 375])),
    entry(C::Us, "us", "United States", tone(HZ_440_480, &[2000, 4000]), tone(HZ_480_620, &[500, 500])),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (index, entry) in COUNTRIES.iter().enumerate() {
            assert_eq!(entry.country as usize, index, "{}", entry.name);
            assert_eq!(entry.code.parse(), Ok(entry.country));
            assert_eq!(entry.country.to_string(), entry.code);
            assert!(entry.code.eq_ignore_ascii_case(&format!("{:?}", entry.country)));
        }
    }

    #[test]
    fn codes_are_read_in_any_case() {
        assert_eq!("US".parse(), Ok(Country::Us));
        assert_eq!("gb".parse(), Ok(Country::Uk));
    }

    #[test]
    fn an_unknown_code_is_answered_with_the_known_ones() {
        let error = Country::from_str("xx").expect_err("no such country");
        let text = error.to_string();
        assert!(text.starts_with("no tones are known for country \"xx\"; known: at, au,"), "{text}");
        assert!(text.ends_with("uk, us"), "{text}");
    }
}
