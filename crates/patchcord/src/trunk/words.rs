//! What more than one check says.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use patchcord_records::utc;

/// Why something was not tried, as something before it failed.
pub(super) const NOT_TRIED: &str = "not tried, as nothing answers there";

/// `12.3 ms`
pub(super) fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// A day of the Gregorian calendar, as RFC 3339 has it.
pub(super) fn day(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut text = utc(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    // What follows is the time of the day.
    text.truncate(text.find('T').unwrap_or(text.len()));
    text
}

/// Whole days from one time to a later one.
pub(super) fn days(from: SystemTime, to: SystemTime) -> u64 {
    to.duration_since(from).unwrap_or_default().as_secs() / 86_400
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_no_time_and_days_are_whole() {
        assert_eq!(day(UNIX_EPOCH + Duration::from_secs(951_868_800 - 1)), "2000-02-29");
        assert_eq!(days(UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(86_400 * 3 - 1)), 2);
    }
}
