//! Master keys, and the session keys that are derived from them (RFC 3711 4.3).

use core::fmt;

use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

use crate::crypto::{AesKey, Backend, GcmKey, HmacSha1Key};
use crate::error::KeyError;
use crate::suite::{Cipher, Suite};

/// The longest name of a master key (RFC 4568 6.1).
pub const MKI_LEN_MAX: usize = 128;

/// Bytes of the longest master key and salt together.
const MASTER_LEN_MAX: usize = 46;
/// Bytes of a session's authentication key (RFC 3711 5.2).
const AUTH_KEY_LEN: usize = 20;

/// A master key and its salt, as signalling gives them (RFC 3711 3.2.1).
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct MasterKey {
    #[zeroize(skip)]
    suite: Suite,
    bytes: [u8; MASTER_LEN_MAX],
}

impl MasterKey {
    /// From key and salt, one behind the other.
    ///
    /// # Errors
    /// They are not as long as the suite says.
    pub fn new(suite: Suite, key_and_salt: &[u8]) -> Result<Self, KeyError> {
        let expected = suite.key_len() + suite.salt_len();
        if key_and_salt.len() != expected {
            return Err(KeyError::KeyLength { suite: suite.name(), expected, len: key_and_salt.len() });
        }
        let mut bytes = [0; MASTER_LEN_MAX];
        bytes[..expected].copy_from_slice(key_and_salt);
        Ok(Self { suite, bytes })
    }

    /// What it is a key for.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Key and salt, one behind the other.
    #[must_use]
    pub fn key_and_salt(&self) -> &[u8] {
        &self.bytes[..self.suite.key_len() + self.suite.salt_len()]
    }

    fn key(&self) -> &[u8] {
        &self.bytes[..self.suite.key_len()]
    }

    fn salt(&self) -> &[u8] {
        &self.key_and_salt()[self.suite.key_len()..]
    }
}

/// Without the key.
impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// The name of a master key, which every packet under it carries (RFC 3711 3.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mki(Box<[u8]>);

impl Mki {
    /// As it stands in packets.
    ///
    /// # Errors
    /// It is empty, or longer than [`MKI_LEN_MAX`].
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        match bytes.len() {
            1..=MKI_LEN_MAX => Ok(Self(bytes.into())),
            len => Err(KeyError::MkiLength { len }),
        }
    }

    /// As it stands in packets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Which of the protections are in force (RFC 4568 6.3.2): all of them, unless a peer wants less and is allowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protections {
    /// RTP is encrypted.
    pub encrypts_rtp: bool,
    /// RTCP is encrypted.
    pub encrypts_rtcp: bool,
    /// RTP is authenticated; RTCP always is (RFC 3711 3.4).
    pub authenticates_rtp: bool,
}

impl Protections {
    /// All of them.
    pub const ALL: Self = Self { encrypts_rtp: true, encrypts_rtcp: true, authenticates_rtp: true };

    /// Whether a suite can do with these.
    ///
    /// # Errors
    /// [`KeyError::Indivisible`].
    pub fn must_go_with(self, suite: Suite) -> Result<(), KeyError> {
        if suite.is_aead() && self != Self::ALL { Err(KeyError::Indivisible(suite.name())) } else { Ok(()) }
    }
}

impl Default for Protections {
    fn default() -> Self {
        Self::ALL
    }
}

/// The keys of one direction, derived and expanded.
pub struct SessionKeys {
    suite: Suite,
    protections: Protections,
    mki: Option<Mki>,
    backend: Backend,
    pub(crate) rtp: PartKeys,
    pub(crate) rtcp: PartKeys,
}

/// The keys of RTP, or of RTCP.
pub(crate) struct PartKeys {
    pub(crate) cipher: CipherKey,
    /// Zero behind the suite's own length.
    pub(crate) salt: Zeroizing<[u8; 14]>,
}

/// By what the payload is encrypted and authenticated.
pub(crate) enum CipherKey {
    Counter { cipher: AesKey, mac: HmacSha1Key },
    Gcm(GcmKey),
    F8 { cipher: AesKey, masked: AesKey, mac: HmacSha1Key },
    Null { mac: HmacSha1Key },
}

impl CipherKey {
    /// By what packets are authenticated that are not by their cipher.
    #[inline]
    pub(crate) const fn mac(&self) -> Option<&HmacSha1Key> {
        match self {
            Self::Counter { mac, .. } | Self::F8 { mac, .. } | Self::Null { mac } => Some(mac),
            Self::Gcm(_) => None,
        }
    }
}

impl SessionKeys {
    /// Derives them from a master key, for use with the fastest instructions that the processor has.
    ///
    /// # Errors
    /// [`KeyError::Indivisible`].
    pub fn derive(master: &MasterKey, mki: Option<Mki>, protections: Protections) -> Result<Self, KeyError> {
        Self::derive_for(Backend::best(), master, mki, protections)
    }

    /// As [`SessionKeys::derive`], for use with these instructions.
    ///
    /// # Errors
    /// [`KeyError::Indivisible`].
    pub fn derive_for(
        backend: Backend,
        master: &MasterKey,
        mki: Option<Mki>,
        protections: Protections,
    ) -> Result<Self, KeyError> {
        let suite = master.suite();
        protections.must_go_with(suite)?;
        let derivation = Derivation { master: AesKey::new(master.key(), backend), salt: master.salt(), suite, backend };
        Ok(Self { suite, protections, mki, backend, rtp: derivation.part(0), rtcp: derivation.part(3) })
    }

    /// The suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Which protections are in force.
    #[must_use]
    pub const fn protections(&self) -> Protections {
        self.protections
    }

    /// What stands in each packet beside the tag; empty if nothing does.
    #[must_use]
    pub fn mki(&self) -> &[u8] {
        self.mki.as_ref().map_or(&[], Mki::as_bytes)
    }

    /// Bytes that protecting adds to an RTP packet.
    #[must_use]
    pub fn rtp_overhead(&self) -> usize {
        self.rtp_tag_len() + self.mki().len()
    }

    /// Bytes that protecting adds to an RTCP compound: tag, MKI and index.
    #[must_use]
    pub fn rtcp_overhead(&self) -> usize {
        self.suite.rtcp_tag_len() + self.mki().len() + 4
    }

    pub(crate) const fn backend(&self) -> Backend {
        self.backend
    }

    pub(crate) const fn rtp_tag_len(&self) -> usize {
        if self.protections.authenticates_rtp { self.suite.rtp_tag_len() } else { 0 }
    }
}

/// Without the keys.
impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SessionKeys");
        shown.field("suite", &self.suite).field("protections", &self.protections).finish_non_exhaustive()
    }
}

/// The key derivation of RFC 3711 4.3 with its default pseudo-random function, at rate 0: once. With longer master keys it is
/// AES of their length (RFC 6188 3, RFC 7714 11).
struct Derivation<'a> {
    master: AesKey,
    salt: &'a [u8],
    suite: Suite,
    backend: Backend,
}

impl Derivation<'_> {
    /// Labels are 0 to 2 for RTP, 3 to 5 for RTCP: encryption, authentication, salt.
    fn part(&self, first_label: u8) -> PartKeys {
        let mut key = Zeroizing::new([0; 32]);
        let key = &mut key[..self.suite.key_len()];
        let mut auth = Zeroizing::new([0; AUTH_KEY_LEN]);
        let mut salt = Zeroizing::new([0; 14]);
        self.fill(first_label, key);
        self.fill(first_label + 1, auth.as_mut());
        self.fill(first_label + 2, &mut salt[..self.suite.salt_len()]);
        let mac = || HmacSha1Key::new(auth.as_ref());
        let cipher = match self.suite.cipher() {
            Cipher::Counter => CipherKey::Counter { cipher: AesKey::new(key, self.backend), mac: mac() },
            Cipher::Gcm => CipherKey::Gcm(GcmKey::new(key, self.backend)),
            Cipher::Null => CipherKey::Null { mac: mac() },
            Cipher::F8 => {
                let cipher = AesKey::new(key, self.backend);
                // RFC 3711 4.1.2.2: the key, XOR the salt filled up with 0x55.
                for (index, byte) in key.iter_mut().enumerate() {
                    *byte ^= salt.get(index).copied().unwrap_or(0x55);
                }
                let masked = AesKey::new(key, self.backend);
                key.zeroize();
                CipherKey::F8 { cipher, masked, mac: mac() }
            }
        };
        PartKeys { cipher, salt }
    }

    fn fill(&self, label: u8, out: &mut [u8]) {
        // x = label || r, right-aligned with the salt; r is 0 (RFC 3711 4.3.1). A salt of 12 bytes is followed by zeros.
        let mut x = [0; 16];
        x[..self.salt.len()].copy_from_slice(self.salt);
        x[7] ^= label;
        out.fill(0);
        self.master.apply_ctr(x, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let value = |digit: u8| (digit as char).to_digit(16).expect("a hex digit") as u8;
        digits.chunks(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect()
    }

    #[test]
    fn session_keys_are_those_of_rfc_3711_b_3() {
        let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
        let master = AesKey::new(&hex("E1F97A0D3E018BE0D64FA32C06DE4139"), Backend::best());
        let suite = Suite::AesCm128HmacSha1_80;
        let derivation = Derivation { master, salt: &salt, suite, backend: Backend::best() };
        let filled = |label, len| {
            let mut out = vec![0; len];
            derivation.fill(label, &mut out);
            out
        };
        assert_eq!(filled(0, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(filled(2, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
        assert_eq!(filled(1, 20), hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
    }

    #[test]
    fn session_keys_are_those_of_rfc_6188_7_4() {
        let master =
            AesKey::new(&hex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6"), Backend::best());
        let salt = hex("3b04803de51ee7c96423ab5b78d2");
        let derivation =
            Derivation { master, salt: &salt, suite: Suite::AesCm256HmacSha1_80, backend: Backend::best() };
        let filled = |label, len| {
            let mut out = vec![0; len];
            derivation.fill(label, &mut out);
            out
        };
        assert_eq!(filled(0, 32), hex("5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"));
        assert_eq!(filled(2, 14), hex("fa31791685ca444a9e07c6c64e93"));
        assert_eq!(filled(1, 20), hex("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"));
    }

    #[test]
    fn lengths_are_held() {
        let error = MasterKey::new(Suite::AesCm128HmacSha1_80, &[0; 29]).expect_err("a byte is missing");
        assert_eq!(error, KeyError::KeyLength { suite: "AES_CM_128_HMAC_SHA1_80", expected: 30, len: 29 });
        assert!(MasterKey::new(Suite::AeadAes128Gcm, &[0; 28]).is_ok());
        assert!(MasterKey::new(Suite::AesCm256HmacSha1_80, &[0; 46]).is_ok());
        assert_eq!(Mki::new(&[]), Err(KeyError::MkiLength { len: 0 }));
        assert_eq!(Mki::new(&[0; 129]), Err(KeyError::MkiLength { len: 129 }));
    }

    #[test]
    fn aead_is_all_or_nothing() {
        let master = MasterKey::new(Suite::AeadAes128Gcm, &[7; 28]).expect("the right length");
        let less = Protections { encrypts_rtp: false, ..Protections::ALL };
        assert!(matches!(SessionKeys::derive(&master, None, less), Err(KeyError::Indivisible(_))));
    }

    #[test]
    fn no_key_is_shown() {
        let master = MasterKey::new(Suite::AesCm128HmacSha1_80, &[0xab; 30]).expect("the right length");
        let keys = SessionKeys::derive(&master, None, Protections::ALL).expect("a plain suite");
        let shown = format!("{master:?} {keys:?}").to_lowercase();
        assert!(!shown.contains("171") && !shown.contains("abab"), "{shown}");
    }
}
