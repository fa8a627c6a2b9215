//! SRTP (RFC 3711 3.1, RFC 7714 8).
//!
//! ```text
//! header, CSRCs, extension | payload, encrypted | MKI | tag        AES-CM, f8, NULL: the tag is over all before the MKI, and the ROC
//! header, CSRCs, extension | payload, encrypted | tag | MKI        AES-GCM: the tag is part of the ciphertext
//! ```

use arrayvec::ArrayVec;
use patchcord_rtp::RTP_HEADER_LEN;

use super::{TAG_LEN_MAX, check_tag, counter_iv, gcm_iv};
use crate::crypto::{Backend, CtrJob, MacJob, apply_f8, ctr_batch, mac_batch};
use crate::error::SrtpError;
use crate::index::PacketIndex;
use crate::keys::{CipherKey, SessionKeys};

/// Packets that are worked on at once; longer batches go in several.
const BATCH: usize = 16;

/// A packet to be protected.
#[derive(Debug)]
pub struct ProtectJob<'a> {
    /// The keys of its sender.
    pub keys: &'a SessionKeys,
    /// Its index, from [`crate::Sender::claim`].
    pub index: PacketIndex,
    /// The packet, and room behind it: [`SessionKeys::rtp_overhead`] bytes.
    pub buffer: &'a mut [u8],
    /// Bytes of the packet in `buffer`; afterwards of the protected packet.
    pub len: usize,
    /// What came of it. If it is an error, the packet is as it was and must not be sent.
    pub outcome: Result<(), SrtpError>,
}

impl<'a> ProtectJob<'a> {
    /// A job that is yet to be done.
    #[inline]
    pub fn new(keys: &'a SessionKeys, index: PacketIndex, buffer: &'a mut [u8], len: usize) -> Self {
        Self { keys, index, buffer, len, outcome: Ok(()) }
    }
}

/// A packet to be unprotected.
#[derive(Debug)]
pub struct UnprotectJob<'a> {
    /// The keys of its receiver.
    pub keys: &'a SessionKeys,
    /// Its index, from [`crate::Receiver::expect`].
    pub index: PacketIndex,
    /// The packet; afterwards the plain one is its beginning.
    pub packet: &'a mut [u8],
    /// Length of the plain packet, or why the packet is not accepted: it is as it was, then.
    pub outcome: Result<usize, SrtpError>,
}

impl<'a> UnprotectJob<'a> {
    /// A job that is yet to be done.
    #[inline]
    pub fn new(keys: &'a SessionKeys, index: PacketIndex, packet: &'a mut [u8]) -> Self {
        Self { keys, index, packet, outcome: Ok(0) }
    }
}

/// Where the parts of a protected packet lie, or will lie.
#[derive(Clone, Copy, Debug)]
struct Layout {
    payload: usize,
    /// End of the payload; for AES-GCM the tag follows, for the others the MKI.
    payload_end: usize,
    mki: usize,
    tag: usize,
    end: usize,
}

impl Layout {
    /// Of a plain packet of `len` bytes.
    #[inline]
    fn of_plain(keys: &SessionKeys, buffer: &[u8], len: usize) -> Result<Self, SrtpError> {
        let payload = buffer.get(..len).and_then(payload_start).ok_or(SrtpError::Malformed)?;
        let layout = Self::with(keys, payload, len);
        if layout.end > buffer.len() { Err(SrtpError::NoRoom) } else { Ok(layout) }
    }

    /// Of a protected packet.
    #[inline]
    fn of_protected(keys: &SessionKeys, packet: &[u8]) -> Result<Self, SrtpError> {
        let payload = payload_start(packet).ok_or(SrtpError::Malformed)?;
        let payload_end = packet.len().checked_sub(keys.rtp_overhead()).ok_or(SrtpError::Malformed)?;
        if payload_end < payload {
            return Err(SrtpError::Malformed);
        }
        let layout = Self::with(keys, payload, payload_end);
        if packet[layout.mki..layout.mki + keys.mki().len()] == *keys.mki() { Ok(layout) } else { Err(SrtpError::Mki) }
    }

    #[inline]
    fn with(keys: &SessionKeys, payload: usize, payload_end: usize) -> Self {
        let (tag_len, mki_len) = (keys.rtp_tag_len(), keys.mki().len());
        let end = payload_end + tag_len + mki_len;
        let (mki, tag) =
            if keys.suite().is_aead() { (end - mki_len, payload_end) } else { (payload_end, payload_end + mki_len) };
        Self { payload, payload_end, mki, tag, end }
    }
}

/// Where the payload of an SRTP packet begins: behind CSRCs and extension, which are not encrypted.
#[inline]
fn payload_start(packet: &[u8]) -> Option<usize> {
    let &first = packet.get(..RTP_HEADER_LEN)?.first()?;
    if first >> 6 != 2 {
        return None;
    }
    let mut start = RTP_HEADER_LEN + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let &[_, _, high, low] = packet.get(start..)?.first_chunk()?;
        start += 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
    }
    (start <= packet.len()).then_some(start)
}

#[inline]
fn ssrc_of(packet: &[u8]) -> u32 {
    packet[8..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// Protects one packet; gives its length.
///
/// # Errors
/// [`SrtpError::Malformed`], [`SrtpError::NoRoom`].
pub fn protect_rtp(keys: &SessionKeys, index: PacketIndex, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
    let mut jobs = [ProtectJob::new(keys, index, buffer, len)];
    protect_batch(&mut jobs);
    let [job] = jobs;
    job.outcome.map(|()| job.len)
}

/// Unprotects one packet; gives the length of the plain one.
///
/// # Errors
/// [`SrtpError::Malformed`], [`SrtpError::Mki`], [`SrtpError::Authentication`]. The packet is as it was, then.
pub fn unprotect_rtp(keys: &SessionKeys, index: PacketIndex, packet: &mut [u8]) -> Result<usize, SrtpError> {
    let mut jobs = [UnprotectJob::new(keys, index, packet)];
    unprotect_batch(&mut jobs);
    let [job] = jobs;
    job.outcome
}

/// Protects packets, whatever their keys and suites are. Those of the suites with AES-CM are worked on side by side.
pub fn protect_batch(jobs: &mut [ProtectJob<'_>]) {
    for jobs in jobs.chunks_mut(BATCH) {
        encrypt(jobs);
        authenticate(jobs);
    }
}

fn encrypt(jobs: &mut [ProtectJob<'_>]) {
    let mut counters = ArrayVec::<CtrJob<'_>, BATCH>::new();
    for job in jobs {
        let layout = match Layout::of_plain(job.keys, job.buffer, job.len) {
            Ok(layout) => layout,
            Err(error) => {
                job.outcome = Err(error);
                continue;
            }
        };
        job.outcome = Ok(());
        let keys = job.keys;
        let ssrc = ssrc_of(job.buffer);
        if !keys.protections().encrypts_rtp {
            continue;
        }
        match &keys.rtp.cipher {
            CipherKey::Counter { cipher, .. } => counters.push(CtrJob {
                key: cipher,
                iv: counter_iv(&keys.rtp.salt, ssrc, job.index.get()),
                data: &mut job.buffer[layout.payload..layout.payload_end],
            }),
            CipherKey::Gcm(gcm) => {
                let iv = gcm_iv(&keys.rtp.salt, ssrc, job.index.get());
                let (header, rest) = job.buffer.split_at_mut(layout.payload);
                let (payload, behind) = rest.split_at_mut(layout.payload_end - layout.payload);
                gcm.apply_ctr(&iv, payload);
                let tag = gcm.tag(&iv, &[header], payload);
                behind[..tag.len()].copy_from_slice(&tag);
            }
            CipherKey::F8 { cipher, masked, .. } => {
                let iv = f8_iv(job.buffer, job.index);
                apply_f8(cipher, masked, iv, &mut job.buffer[layout.payload..layout.payload_end]);
            }
            CipherKey::Null { .. } => {}
        }
    }
    ctr_batch(&mut counters);
}

fn authenticate(jobs: &mut [ProtectJob<'_>]) {
    let Some(backend) = jobs.first().map(|job| job.keys.backend()) else { return };
    let mut macs = ArrayVec::<MacJob<'_>, BATCH>::new();
    for job in jobs.iter().filter(|job| job.outcome.is_ok()) {
        macs.extend(mac_job(job.keys, &job.buffer[..job.len], job.index));
    }
    let mut tags = tags_of(macs, backend).into_iter();
    for job in jobs.iter_mut().filter(|job| job.outcome.is_ok()) {
        let keys = job.keys;
        let layout = Layout::with(keys, job.len, job.len);
        let mki = keys.mki();
        job.buffer[layout.mki..layout.mki + mki.len()].copy_from_slice(mki);
        if has_mac(keys)
            && let Some(tag) = tags.next()
        {
            job.buffer[layout.tag..layout.end].copy_from_slice(&tag[..layout.end - layout.tag]);
        }
        job.len = layout.end;
    }
}

/// Unprotects packets: first all tags are checked, then what is authentic is decrypted.
pub fn unprotect_batch(jobs: &mut [UnprotectJob<'_>]) {
    for jobs in jobs.chunks_mut(BATCH) {
        verify(jobs);
        decrypt(jobs);
    }
}

fn verify(jobs: &mut [UnprotectJob<'_>]) {
    let Some(backend) = jobs.first().map(|job| job.keys.backend()) else { return };
    let mut macs = ArrayVec::<MacJob<'_>, BATCH>::new();
    let mut outcomes = ArrayVec::<Result<usize, SrtpError>, BATCH>::new();
    for job in jobs.iter() {
        let keys = job.keys;
        outcomes.push(Layout::of_protected(keys, job.packet).and_then(|layout| {
            let authentic = &job.packet[..layout.payload_end];
            macs.extend(mac_job(keys, authentic, job.index));
            if let CipherKey::Gcm(gcm) = &keys.rtp.cipher {
                let iv = gcm_iv(&keys.rtp.salt, ssrc_of(authentic), job.index.get());
                let (header, payload) = authentic.split_at(layout.payload);
                let expected = gcm.tag(&iv, &[header], payload);
                check_tag(&expected, &job.packet[layout.tag..layout.tag + TAG_LEN_MAX])?;
            }
            Ok(layout.payload_end)
        }));
    }
    let mut tags = tags_of(macs, backend).into_iter();
    for (job, outcome) in jobs.iter().zip(&mut outcomes) {
        if let Ok(payload_end) = *outcome
            && has_mac(job.keys)
            && let Some(expected) = tags.next()
        {
            let tag_len = job.keys.rtp_tag_len();
            let tag = &job.packet[payload_end + job.keys.mki().len()..];
            if let Err(error) = check_tag(&expected[..tag_len], tag) {
                *outcome = Err(error);
            }
        }
    }
    for (job, outcome) in jobs.iter_mut().zip(outcomes) {
        job.outcome = outcome;
    }
}

fn decrypt(jobs: &mut [UnprotectJob<'_>]) {
    let mut counters = ArrayVec::<CtrJob<'_>, BATCH>::new();
    for job in jobs {
        let (Ok(end), keys) = (job.outcome, job.keys) else { continue };
        if !keys.protections().encrypts_rtp {
            continue;
        }
        let Some(start) = payload_start(job.packet) else { continue };
        let ssrc = ssrc_of(job.packet);
        match &keys.rtp.cipher {
            CipherKey::Counter { cipher, .. } => counters.push(CtrJob {
                key: cipher,
                iv: counter_iv(&keys.rtp.salt, ssrc, job.index.get()),
                data: &mut job.packet[start..end],
            }),
            CipherKey::Gcm(gcm) => {
                gcm.apply_ctr(&gcm_iv(&keys.rtp.salt, ssrc, job.index.get()), &mut job.packet[start..end]);
            }
            CipherKey::F8 { cipher, masked, .. } => {
                let iv = f8_iv(job.packet, job.index);
                apply_f8(cipher, masked, iv, &mut job.packet[start..end]);
            }
            CipherKey::Null { .. } => {}
        }
    }
    ctr_batch(&mut counters);
}

fn tags_of(mut macs: ArrayVec<MacJob<'_>, BATCH>, backend: Backend) -> ArrayVec<[u8; 20], BATCH> {
    mac_batch(&mut macs, backend);
    macs.iter().map(|mac| mac.tag).collect()
}

/// Whether a tag of HMAC-SHA1 is at the end of RTP packets.
#[inline]
fn has_mac(keys: &SessionKeys) -> bool {
    !keys.suite().is_aead() && keys.protections().authenticates_rtp
}

/// The tag is over the packet and the roll-over counter (RFC 3711 4.2).
#[inline]
fn mac_job<'a>(keys: &'a SessionKeys, message: &'a [u8], index: PacketIndex) -> Option<MacJob<'a>> {
    if !keys.protections().authenticates_rtp {
        return None;
    }
    let key = keys.rtp.cipher.mac()?;
    Some(MacJob { key, message, suffix: index.roc().to_be_bytes(), suffix_len: 4, tag: [0; 20] })
}

/// RFC 3711 4.1.2.2: the header without its first byte, and the roll-over counter.
fn f8_iv(packet: &[u8], index: PacketIndex) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[1..12].copy_from_slice(&packet[1..12]);
    iv[12..].copy_from_slice(&index.roc().to_be_bytes());
    iv
}
