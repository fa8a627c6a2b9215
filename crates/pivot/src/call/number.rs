//! Telephone numbers, and which of them are for emergencies.

use super::uri::unescape;

/// A telephone number without visual separators (RFC 3966 5.1.1): digits, `*`, `#`, and `+` in front of a global one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number(Box<str>);

impl Number {
    /// The number that a user part is, if it is one: `+1 (555) 010-1234`, `9-1-1`, `*21#`. Escapes are read, parameters are not looked at.
    #[must_use]
    pub fn of(user: &str) -> Option<Self> {
        let user = unescape(user.split(';').next()?).ok()?;
        let number: String = user.chars().filter(|char| !is_separator(*char)).collect();
        let digits = number.strip_prefix('+').unwrap_or(&number);
        let is_number = !digits.is_empty() && digits.chars().all(|char| char.is_ascii_digit() || "*#".contains(char));
        // ITU-T E.164 has 15 digits; prefixes and extensions come on top.
        (is_number && digits.len() <= 32).then(|| Self(number.into()))
    }

    /// As it is dialled.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const fn is_separator(char: char) -> bool {
    matches!(char, '-' | '.' | '(' | ')' | ' ')
}

/// Numbers for emergencies, refused whatever else is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emergency {
    /// Digits only.
    pub numbers: Vec<Box<str>>,
    /// What may stand in front of them: for an outside line, or a country.
    pub prefixes: Vec<Box<str>>,
}

impl Default for Emergency {
    fn default() -> Self {
        Self {
            numbers: ["911", "933", "112", "999"].map(Into::into).into(),
            prefixes: ["0", "00", "1", "8", "9"].map(Into::into).into(),
        }
    }
}

impl Emergency {
    /// Whether whoever dials this user part reaches an emergency service: `911`, `9-1-1`, `%39%31%31`, `9911`, `+1911`, `911#`, `911,,1`,
    /// `911;phone-context=+1`.
    #[must_use]
    pub fn is_reached_by(&self, user: &str) -> bool {
        let Ok(user) = unescape(user.split(';').next().unwrap_or_default()) else { return false };
        let dialled: String = user
            .chars()
            .filter(|char| !is_separator(*char) && !"+*#".contains(*char))
            .take_while(char::is_ascii_digit)
            .collect();
        let is_listed = |digits: &str| self.numbers.iter().any(|number| **number == *digits);
        is_listed(&dialled) || self.prefixes.iter().any(|prefix| dialled.strip_prefix(&**prefix).is_some_and(is_listed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_do_not_count_and_names_are_no_numbers() {
        for (user, number) in [
            ("+1 (555) 010-1234", Some("+15550101234")),
            ("%2B1555", Some("+1555")),
            ("5551212;phone-context=+1", Some("5551212")),
            ("*21#", Some("*21#")),
            ("1+2", None),
            ("+", None),
            ("alice", None),
            ("", None),
        ] {
            assert_eq!(Number::of(user).as_ref().map(Number::as_str), number, "{user}");
        }
    }

    #[test]
    fn no_way_of_writing_an_emergency_number_is_let_through() {
        let emergency = Emergency::default();
        let reached = |user: &&str| emergency.is_reached_by(user);
        let bad = [
            "911",
            "9-1-1",
            "(9)11",
            "9.1.1",
            "%39%31%31",
            "9911",
            "0112",
            "00112",
            "+1911",
            "+911",
            "911#",
            "*911",
            "911,,1",
            "911p1",
            "911;phone-context=+1",
            "933",
            "999",
            "112",
            "8112",
        ];
        assert_eq!(bad.iter().filter(|user| !reached(user)).collect::<Vec<_>>(), Vec::<&&str>::new());
        let good = ["9111", "+15550911", "91", "+49112233", "alice", "+1999555", "", "%"];
        assert_eq!(good.iter().filter(|user| reached(user)).collect::<Vec<_>>(), Vec::<&&str>::new());
    }
}
