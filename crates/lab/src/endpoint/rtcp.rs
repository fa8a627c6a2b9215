//! The reports of an endpoint about what it sends and receives.

use std::time::Duration;

use patchcord_rtp::{
    Compound, CompoundWriter, LastSenderReport, NtpTime, ReceiverState, RtcpView, RtpHeader, SenderState, Ssrc,
};

/// Longest compound packet that is written: a sender report with one block, and an SDES.
const COMPOUND_LEN_MAX: usize = 512;

/// RTCP reports on the port of the RTP (RFC 5761).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtcpReports {
    /// Time between two reports. RFC 3550 6.2 wants 5 s on average; tests want to see one sooner.
    pub interval: Duration,
    /// The canonical name in the SDES (RFC 3550 6.5.1).
    pub cname: String,
}

impl Default for RtcpReports {
    fn default() -> Self {
        Self { interval: Duration::from_secs(5), cname: "lab@patchcord.invalid".to_owned() }
    }
}

/// Both directions of one endpoint, as its reports see them.
#[derive(Debug)]
pub(super) struct Reporter {
    reports: RtcpReports,
    /// Created with the first packet, when the clock rate is known.
    sender: Option<(Ssrc, SenderState)>,
    receiver: ReceiverState,
    last_report: Option<LastSenderReport>,
    receiver_ssrc: Ssrc,
}

impl Reporter {
    /// `port` makes the SSRC with which an endpoint reports that never sends.
    pub(super) fn new(reports: RtcpReports, port: u16) -> Self {
        Self {
            reports,
            sender: None,
            receiver: ReceiverState::new(8_000),
            last_report: None,
            receiver_ssrc: Ssrc(0x5afe_0000 | u32::from(port)),
        }
    }

    pub(super) fn interval_ns(&self) -> u64 {
        u64::try_from(self.reports.interval.as_nanos()).unwrap_or(u64::MAX).max(1_000_000)
    }

    pub(super) fn sent(&mut self, header: &RtpHeader, clock_rate: u32, payload_len: usize, now_ns: u64) {
        let current = self.sender.take().filter(|(ssrc, _)| *ssrc == header.ssrc);
        let (ssrc, mut state) = current.unwrap_or((header.ssrc, SenderState::new(clock_rate)));
        state.sent(header, payload_len, now_ns);
        self.sender = Some((ssrc, state));
    }

    pub(super) fn received(&mut self, header: &RtpHeader, at_ns: u64) {
        self.receiver.observe(header, at_ns);
    }

    pub(super) fn received_rtcp(&mut self, datagram: &[u8], arrived_ns: u64) {
        let Ok(compound) = Compound::parse(datagram) else { return };
        for packet in compound.packets() {
            if let Ok(RtcpView::SenderReport(report)) = packet.view() {
                self.last_report = Some(LastSenderReport { ntp: report.info.ntp, arrived_ns });
            }
        }
    }

    /// The next report: a sender report if it has sent (RFC 3550 6.4), else a receiver report; with the CNAME.
    pub(super) fn report(&mut self, now_ns: u64, unix_ns: u64) -> Option<Vec<u8>> {
        let mut buffer = vec![0; COMPOUND_LEN_MAX];
        let block = self.receiver.report_block(self.last_report, now_ns);
        let info = self.sender.as_ref().and_then(|(ssrc, state)| {
            let info = state.report(now_ns, NtpTime::from_unix_nanos(unix_ns))?;
            Some((*ssrc, info))
        });
        let mut writer = CompoundWriter::new(&mut buffer);
        let ssrc = match &info {
            Some((ssrc, info)) => {
                writer.sender_report(*ssrc, info, block).ok()?;
                *ssrc
            }
            None => {
                writer.receiver_report(self.receiver_ssrc, block).ok()?;
                self.receiver_ssrc
            }
        };
        writer.source_description(ssrc, &self.reports.cname).ok()?;
        let len = writer.finish();
        buffer.truncate(len);
        Some(buffer)
    }
}
