//! Numbers, dates and addresses as Java prints them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A double as `Double.toString` prints it: plain from a thousandth to ten million, scientific
/// outside, always with a digit after the point.
pub(crate) struct Double(pub(crate) f64);

impl fmt::Display for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number) = *self;
        if number.is_nan() {
            return f.write_str("NaN");
        }
        if number.is_infinite() {
            return f.write_str(if number > 0.0 { "Infinity" } else { "-Infinity" });
        }
        if number == 0.0 || (1e-3..1e7).contains(&number.abs()) {
            return write!(f, "{number:?}");
        }
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let point = if digits.contains('.') { "" } else { ".0" };
        write!(f, "{digits}{point}E{exponent}")
    }
}

/// An average to four digits after the point, rounded half up.
pub(crate) fn average(sum: u64, count: u64) -> f64 {
    if count == 0 {
        return 0.0;
    }
    let scaled = (u128::from(sum) * 20_000 / u128::from(count)).div_ceil(2);
    scaled as f64 / 10_000.0
}

/// A moment as `Date.toString` prints it, in UTC: `Sat Nov 21 05:47:56 UTC 2026`.
pub(crate) struct Date {
    /// Milliseconds since 1970.
    pub(crate) wall_ms: i64,
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let seconds = self.wall_ms.div_euclid(1000);
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let weekday = WEEKDAYS[usize::try_from(days.rem_euclid(7)).unwrap_or(0)];
        let (year, month, day) = civil(days);
        write!(
            f,
            "{weekday} {} {day:02} {:02}:{:02}:{:02} UTC {year}",
            MONTHS[month],
            second / 3600,
            second / 60 % 60,
            second % 60,
        )
    }
}

/// Year, month from 0 and day from 1 of a number of days since 1970.
///
/// Years are counted from March, so that the day that leap years add is a year's last, and in eras
/// of 400 years, which all have the same number of days.
fn civil(days: i64) -> (i64, usize, i64) {
    const DAYS_TO_1970: i64 = 719_468;
    const DAYS_OF_ERA: i64 = 146_097;
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = era * 400 + year_of_era + i64::from(month < 2);
    (year, usize::try_from(month).unwrap_or(0), day)
}

/// An address as `InetSocketAddress.toString` prints it: `/127.0.0.1:2181`, `/[0:0:0:0:0:0:0:1]:2181`.
pub(crate) struct Address(pub(crate) SocketAddr);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.0.port();
        match self.0.ip().to_canonical() {
            IpAddr::V4(ip) => write!(f, "/{ip}:{port}"),
            IpAddr::V6(ip) => {
                let groups = ip.segments().map(|group| format!("{group:x}"));
                write!(f, "/[{}]:{port}", groups.join(":"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles() {
        for (number, expected) in [
            (0.0, "0.0"),
            (3.0364, "3.0364"),
            (100.0, "100.0"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (0.00015, "1.5E-4"),
            (9_999_999.5, "9999999.5"),
            (10_000_000.0, "1.0E7"),
            (-12_345_678.9, "-1.23456789E7"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(Double(number).to_string(), expected);
        }
    }

    #[test]
    fn averages_have_four_digits_rounded_half_up() {
        for (sum, count, expected) in [
            (0, 0, "0.0"),
            (69, 48, "1.4375"),
            (2, 3, "0.6667"),
            (1, 3, "0.3333"),
            (1, 20_000, "1.0E-4"),
            (1, 20_001, "0.0"),
            (u64::MAX, 1, "1.8446744073709552E19"),
        ] {
            assert_eq!(Double(average(sum, count)).to_string(), expected, "{sum}/{count}");
        }
    }

    #[test]
    fn dates() {
        for (wall_ms, expected) in [
            (0, "Thu Jan 01 00:00:00 UTC 1970"),
            (1_795_259_777_999, "Sat Nov 21 11:16:17 UTC 2026"),
            (951_782_400_000, "Tue Feb 29 00:00:00 UTC 2000"),
            (951_868_800_000, "Wed Mar 01 00:00:00 UTC 2000"),
            (1_735_689_599_000, "Tue Dec 31 23:59:59 UTC 2024"),
            (4_107_542_400_000, "Mon Mar 01 00:00:00 UTC 2100"),
            (-1, "Wed Dec 31 23:59:59 UTC 1969"),
        ] {
            assert_eq!(Date { wall_ms }.to_string(), expected);
        }
    }

    #[test]
    fn addresses() {
        for (address, expected) in [
            ("127.0.0.1:2181", "/127.0.0.1:2181"),
            ("[::ffff:127.0.0.1]:2181", "/127.0.0.1:2181"),
            ("[::1]:2181", "/[0:0:0:0:0:0:0:1]:2181"),
            ("[fe80::a:0:12]:1", "/[fe80:0:0:0:0:a:0:12]:1"),
        ] {
            assert_eq!(Address(address.parse().unwrap()).to_string(), expected);
        }
    }
}
