//! How good a call sounded, estimated from loss, jitter and round trip (ITU-T G.107, the E-model).

/// The default transmission rating with all other parameters at their defaults (G.107 7.7).
const RATING_MAX: f64 = 93.2;
/// Robustness of G.711 with concealment against packet loss (G.113 appendix I).
const LOSS_ROBUSTNESS: f64 = 25.1;
/// Delay of a jitter buffer for each unit of jitter, and of one frame in each of coder and decoder, milliseconds.
const JITTER_FACTOR: f64 = 2.0;
const CODEC_DELAY_MS: f64 = 20.0;

/// Mean opinion score of 1.0 to 4.5 for `loss` (0 to 1), interarrival `jitter_ms` and `round_trip_ms`.
pub(super) fn mos(loss: f64, jitter_ms: f64, round_trip_ms: f64) -> f64 {
    let delay_ms = round_trip_ms / 2.0 + JITTER_FACTOR * jitter_ms + CODEC_DELAY_MS;
    // G.107 B.1, simplified by Cole and Rosenbluth: echo-free delay hurts little below 177.3 ms.
    let delay_impairment = 0.024 * delay_ms + 0.11 * (delay_ms - 177.3).max(0.0);
    // G.107 7.5 with random loss: Ie-eff = Ie + (95 - Ie) * Ppl / (Ppl + Bpl), Ie = 0 for G.711.
    let percent = loss.clamp(0.0, 1.0) * 100.0;
    let loss_impairment = 95.0 * percent / (percent + LOSS_ROBUSTNESS);
    let rating = (RATING_MAX - delay_impairment - loss_impairment).clamp(0.0, 100.0);
    // G.107 annex B.
    (1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7.0e-6).clamp(1.0, 4.5)
}

#[cfg(test)]
mod tests {
    use super::mos;

    #[test]
    fn worse_conditions_sound_worse() {
        let clean = mos(0.0, 0.0, 0.0);
        assert!((4.35..4.45).contains(&clean), "G.711 at its best is 4.4: {clean}");
        for (loss, jitter, round_trip) in [(0.01, 0.0, 0.0), (0.0, 40.0, 0.0), (0.0, 0.0, 400.0)] {
            assert!(mos(loss, jitter, round_trip) < clean, "{loss} {jitter} {round_trip}");
        }
        assert!(mos(0.05, 0.0, 0.0) > mos(0.2, 0.0, 0.0));
        assert!((mos(1.0, 1000.0, 5000.0) - 1.0).abs() < 0.001);
    }
}
