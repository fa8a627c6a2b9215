//! SRTCP (RFC 3711 3.4, RFC 7714 9).
//!
//! ```text
//! first header, SSRC | the rest, encrypted | E, index | MKI | tag          AES-CM, f8, NULL
//! first header, SSRC | the rest, encrypted | tag | E, index | MKI          AES-GCM
//! ```

use super::{check_tag, counter_iv, gcm_iv};
use crate::crypto::apply_f8;
use crate::error::SrtpError;
use crate::keys::{CipherKey, SessionKeys};
use patchcord_rtp::Ssrc;

/// Header of the first packet and its SSRC: what is not encrypted.
const CLEAR_LEN: usize = 8;
/// E-flag and index.
const INDEX_LEN: usize = 4;
/// The E-flag: the compound is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// Protects one compound of `len` bytes in a buffer with [`SessionKeys::rtcp_overhead`] bytes of room behind it; gives its
/// length. `index` is from [`crate::Sender::claim_rtcp`].
///
/// # Errors
/// [`SrtpError::Malformed`], [`SrtpError::NoRoom`].
pub fn protect_rtcp(keys: &SessionKeys, index: u32, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
    if len < CLEAR_LEN || len > buffer.len() {
        return Err(SrtpError::Malformed);
    }
    let end = len + keys.rtcp_overhead();
    if end > buffer.len() {
        return Err(SrtpError::NoRoom);
    }
    let ssrc = ssrc_of(buffer);
    let encrypts = keys.protections().encrypts_rtcp && !matches!(keys.rtcp.cipher, CipherKey::Null { .. });
    let word = (index | if encrypts { ENCRYPTED } else { 0 }).to_be_bytes();
    let mki = keys.mki();
    if let CipherKey::Gcm(gcm) = &keys.rtcp.cipher {
        let iv = gcm_iv(&keys.rtcp.salt, ssrc, u64::from(index));
        let (clear, rest) = buffer.split_at_mut(CLEAR_LEN);
        let (secret, behind) = rest.split_at_mut(len - CLEAR_LEN);
        gcm.apply_ctr(&iv, secret);
        let tag = gcm.tag(&iv, &[clear, &word], secret);
        let (at, behind) = behind.split_at_mut(tag.len());
        at.copy_from_slice(&tag);
        behind[..INDEX_LEN].copy_from_slice(&word);
        behind[INDEX_LEN..INDEX_LEN + mki.len()].copy_from_slice(mki);
        return Ok(end);
    }
    if encrypts {
        apply(keys, &mut buffer[..len], ssrc, index, word);
    }
    let authenticated = len + INDEX_LEN;
    buffer[len..authenticated].copy_from_slice(&word);
    let Some(mac) = keys.rtcp.cipher.mac() else { return Err(SrtpError::Malformed) };
    let tag = mac.mac(&buffer[..authenticated], &[], keys.backend());
    let tag_at = authenticated + mki.len();
    buffer[authenticated..tag_at].copy_from_slice(mki);
    buffer[tag_at..end].copy_from_slice(&tag[..end - tag_at]);
    Ok(end)
}

/// What has to be known about a protected compound before it is unprotected: whose it is, and its index.
///
/// # Errors
/// [`SrtpError::Malformed`].
pub fn rtcp_index(keys: &SessionKeys, packet: &[u8]) -> Result<(Ssrc, u32), SrtpError> {
    let layout = Layout::of(keys, packet)?;
    Ok((Ssrc(ssrc_of(packet)), layout.word & !ENCRYPTED))
}

/// Unprotects one compound; gives the length of the plain one.
///
/// # Errors
/// [`SrtpError::Malformed`], [`SrtpError::Mki`], [`SrtpError::Authentication`]. The packet is as it was, then.
pub fn unprotect_rtcp(keys: &SessionKeys, packet: &mut [u8]) -> Result<usize, SrtpError> {
    let layout = Layout::of(keys, packet)?;
    let mki = keys.mki();
    if packet[layout.mki..layout.mki + mki.len()] != *mki {
        return Err(SrtpError::Mki);
    }
    let (index, is_encrypted) = (layout.word & !ENCRYPTED, layout.word & ENCRYPTED != 0);
    let ssrc = ssrc_of(packet);
    let word = layout.word.to_be_bytes();
    let tag = &packet[layout.tag..layout.tag + keys.suite().rtcp_tag_len()];
    if let CipherKey::Gcm(gcm) = &keys.rtcp.cipher {
        let iv = gcm_iv(&keys.rtcp.salt, ssrc, u64::from(index));
        // RFC 7714 9.3: what is not encrypted is authenticated as a whole. We agree on encryption, and hold to it.
        if !is_encrypted {
            return Err(SrtpError::Authentication);
        }
        let (clear, secret) = packet[..layout.len].split_at(CLEAR_LEN);
        check_tag(&gcm.tag(&iv, &[clear, &word], secret), tag)?;
        gcm.apply_ctr(&iv, &mut packet[CLEAR_LEN..layout.len]);
        return Ok(layout.len);
    }
    let Some(mac) = keys.rtcp.cipher.mac() else { return Err(SrtpError::Malformed) };
    let expected = mac.mac(&packet[..layout.len + INDEX_LEN], &[], keys.backend());
    check_tag(&expected[..tag.len()], tag)?;
    if is_encrypted {
        apply(keys, &mut packet[..layout.len], ssrc, index, word);
    } else if keys.protections().encrypts_rtcp && !matches!(keys.rtcp.cipher, CipherKey::Null { .. }) {
        // Whoever has the key may say so, but then it was agreed on.
        return Err(SrtpError::Authentication);
    }
    Ok(layout.len)
}

/// Where the parts of a protected compound lie.
struct Layout {
    /// Bytes of the compound itself.
    len: usize,
    word: u32,
    mki: usize,
    tag: usize,
}

impl Layout {
    fn of(keys: &SessionKeys, packet: &[u8]) -> Result<Self, SrtpError> {
        let len = packet.len().checked_sub(keys.rtcp_overhead()).ok_or(SrtpError::Malformed)?;
        if len < CLEAR_LEN || packet[0] >> 6 != 2 {
            return Err(SrtpError::Malformed);
        }
        let (word_at, mki, tag) = if keys.suite().is_aead() {
            let word_at = len + keys.suite().rtcp_tag_len();
            (word_at, word_at + INDEX_LEN, len)
        } else {
            (len, len + INDEX_LEN, len + INDEX_LEN + keys.mki().len())
        };
        let word = packet[word_at..].first_chunk().copied().map_or(0, u32::from_be_bytes);
        Ok(Self { len, word, mki, tag })
    }
}

/// Encrypts or decrypts a compound.
fn apply(keys: &SessionKeys, compound: &mut [u8], ssrc: u32, index: u32, word: [u8; INDEX_LEN]) {
    match &keys.rtcp.cipher {
        CipherKey::Counter { cipher, .. } => {
            cipher.apply_ctr(counter_iv(&keys.rtcp.salt, ssrc, u64::from(index)), &mut compound[CLEAR_LEN..]);
        }
        CipherKey::F8 { cipher, masked, .. } => {
            // RFC 3711 4.1.2.3: four zeros, E and index, the first header, SSRC.
            let mut iv = [0; 16];
            iv[4..8].copy_from_slice(&word);
            iv[8..].copy_from_slice(&compound[..CLEAR_LEN]);
            apply_f8(cipher, masked, iv, &mut compound[CLEAR_LEN..]);
        }
        CipherKey::Gcm(_) | CipherKey::Null { .. } => {}
    }
}

fn ssrc_of(packet: &[u8]) -> u32 {
    packet[4..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}
