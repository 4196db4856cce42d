//! What the values of the original service mean here. Pure.

use aws_lc_rs::digest;
use jiff::civil;
use uuid::Uuid;

use super::RemarkKind;
use super::source::Line;
use crate::kernel::{Timestamp, Zone};

/// What is to be said of a row.
pub(super) type Notes = Vec<(RemarkKind, String)>;

/// A row that is read, and what is to be said of it.
pub(super) struct Cells<'a> {
    pub(super) line: &'a Line,
    pub(super) notes: Notes,
    /// Where the clock stood that wrote times without a zone.
    pub(super) zone: &'a Zone,
}

impl<'a> Cells<'a> {
    /// It is taken over, but not as it was.
    pub(super) fn changed(&mut self, what: impl Into<String>) {
        self.notes.push((RemarkKind::Changed, what.into()));
    }

    /// It cannot be taken over. For `return cells.left_out(…)`.
    pub(super) fn left_out<T>(&mut self, why: impl Into<String>) -> Option<T> {
        self.notes.push((RemarkKind::LeftOut, why.into()));
        None
    }

    /// The text, unless it is NULL or blank.
    pub(super) fn text(&self, field: &str) -> Option<&'a str> {
        self.line.get(field).map(str::trim).filter(|text| !text.is_empty())
    }

    /// The text, cut to this many characters.
    pub(super) fn short(&mut self, field: &str, most: usize) -> Option<String> {
        let text = self.text(field)?;
        let clean: String = text.chars().filter(|c| !c.is_control()).collect();
        Some(self.cut(field, clean, most))
    }

    /// As `short`, and lines stay lines.
    pub(super) fn prose(&mut self, field: &str, most: usize) -> Option<String> {
        let text = self.text(field)?;
        let strange = |c: &char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        let clean: String = text.chars().filter(strange).collect();
        Some(self.cut(field, clean, most))
    }

    fn cut(&mut self, field: &str, text: String, most: usize) -> String {
        let length = text.chars().count();
        if length <= most {
            return text;
        }
        self.changed(format!("{field} has {length} characters and is cut to {most}"));
        text.chars().take(most).collect::<String>().trim_end().to_owned()
    }

    /// The number; one that cannot be read is as good as none.
    pub(super) fn number(&mut self, field: &str) -> Option<i64> {
        let text = self.text(field)?;
        let number = whole_number(text);
        if number.is_none() {
            self.changed(format!("{field} is no whole number, or out of bounds: {}", shown(text)));
        }
        number
    }

    /// The number, at least 0.
    pub(super) fn count(&mut self, field: &str) -> i64 {
        match self.number(field) {
            Some(number) if number < 0 => {
                self.changed(format!("{field} is {number}, and becomes 0"));
                0
            }
            number => number.unwrap_or(0),
        }
    }

    /// The instant; one that cannot be read is as good as none.
    pub(super) fn time(&mut self, field: &str) -> Option<Timestamp> {
        let text = self.text(field)?;
        let time = instant(text, self.zone);
        if time.is_none() {
            self.changed(format!("{field} is no time: {}", shown(text)));
        }
        time
    }

    /// When it was made. Where that is not known, the first of the others that is, else now.
    pub(super) fn made_at(&mut self, others: &[&str], now: Timestamp) -> Timestamp {
        if let Some(at) = self.time("created_at") {
            return at;
        }
        let other = others.iter().find_map(|field| self.time(field));
        let said =
            if other.is_some() { "is taken from another time of it" } else { "is when it was taken over" };
        self.changed(format!("created_at is not known, and {said}"));
        other.unwrap_or(now)
    }

    pub(super) fn flag(&self, field: &str) -> Option<bool> {
        match self.text(field)?.to_ascii_lowercase().as_str() {
            "true" | "t" | "1" | "yes" => Some(true),
            _ => Some(false),
        }
    }

    /// A list of texts, as JSON or between commas.
    pub(super) fn list(&mut self, field: &str) -> Vec<String> {
        let Some(text) = self.text(field) else { return Vec::new() };
        match serde_json::from_str::<serde_json::Value>(text) {
            Ok(serde_json::Value::Null) => Vec::new(),
            Ok(serde_json::Value::Array(values)) => {
                let all = values.len();
                let texts: Vec<String> =
                    values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect();
                if texts.len() < all {
                    self.changed(format!("{field} has {} members that are no texts", all - texts.len()));
                }
                texts
            }
            Ok(serde_json::Value::String(text)) => vec![text],
            Err(_) if !text.starts_with(['[', '{', '"']) => {
                text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
            }
            _ => {
                self.changed(format!("{field} is no list, and is left empty: {}", shown(text)));
                Vec::new()
            }
        }
    }

    /// What reads itself from the text; what cannot be read is as good as none.
    pub(super) fn parsed<T: std::str::FromStr>(&mut self, field: &str) -> Option<T> {
        let text = self.text(field)?;
        let value = text.parse().ok();
        if value.is_none() {
            self.changed(format!("{field} is not allowed here, and is left empty: {}", shown(text)));
        }
        value
    }
}

/// As much of a value as a remark shows. What people wrote is not for the report.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 40;
    let short: String = text.chars().filter(|c| !c.is_control()).take(MOST).collect();
    if text.chars().count() > MOST { format!("{short}…") } else { short }
}

/// Nothing of the original is as much as this, and sums of what is less can be kept.
const OUT_OF_BOUNDS: u64 = 1_000_000_000_000;

/// Reads `12`, and `12.00` as well.
pub(super) fn whole_number(text: &str) -> Option<i64> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let number: i64 = whole.parse().ok().filter(|_| rest.bytes().all(|b| b == b'0'))?;
    (number.unsigned_abs() < OUT_OF_BOUNDS).then_some(number)
}

/// Reads a time as PostgreSQL writes it.
pub(super) fn instant(text: &str, zone: &Zone) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp::from_micros(at.as_microsecond()));
    }
    let at: civil::DateTime = text.parse().ok()?;
    zone.at(at)
}

/// An id of ours that is always the same for a row of the original service (a UUID of version 8 over SHA-256).
pub(super) fn derived(table: &str, id: &str) -> Uuid {
    let name = format!("dream:original:{table}:{id}");
    let hash = digest::digest(&digest::SHA256, name.as_bytes());
    let mut bytes = [0; 16];
    for (byte, of_hash) in bytes.iter_mut().zip(hash.as_ref()) {
        *byte = *of_hash;
    }
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// An id that clients know, as it is if it may be one here, else derived; whether it is as it was.
pub(super) fn id_like<T: std::str::FromStr>(text: &str, table: &str, id: &str) -> Option<(T, bool)> {
    if let Ok(kept) = text.parse() {
        return Some((kept, true));
    }
    derived(table, id).simple().to_string().parse().ok().map(|made| (made, false))
}

/// The signed amount of an entry of the ledger; `None` for a type that is none.
pub(super) fn signed(kind: &str, amount: i64) -> Option<i64> {
    match kind.to_ascii_uppercase().as_str() {
        "EARN" | "REFUND" => Some(amount),
        "SPEND" => amount.checked_neg(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_a_zone() {
        let (shanghai, utc) = (Zone::default(), Zone::named("UTC").unwrap());
        let read = |text: &str, zone: &Zone| instant(text, zone).map(|at| at.to_string());
        assert_eq!(read("2026-01-28 10:00:00.123456", &utc).as_deref(), Some("2026-01-28T10:00:00.123Z"));
        assert_eq!(read("2026-01-28 10:00:00", &shanghai).as_deref(), Some("2026-01-28T02:00:00.000Z"));
        assert_eq!(read("2026-01-28 10:00:00+00", &shanghai).as_deref(), Some("2026-01-28T10:00:00.000Z"));
        assert_eq!(
            read("2026-01-28 10:00:00.5+05:30", &shanghai).as_deref(),
            Some("2026-01-28T04:30:00.500Z")
        );
        for nonsense in ["infinity", "-infinity", "0044-03-15 10:00:00 BC", "soon", "20260-01-01 00:00:00"] {
            assert_eq!(read(nonsense, &utc), None, "{nonsense}");
        }
    }

    #[test]
    fn numbers_are_whole_or_none() {
        let read = ["12", "-3", "12.00", "1.5", "1e3", "", "9223372036854775807"].map(whole_number);
        assert_eq!(read, [Some(12), Some(-3), Some(12), None, None, None, None]);
    }

    #[test]
    fn an_id_that_may_not_be_one_here_is_always_replaced_by_the_same() {
        use crate::kernel::OrderId;
        let (kept, same) = id_like::<OrderId>("ORDER_1769594400000", "orders", "7").unwrap();
        assert_eq!((kept.as_str(), same), ("ORDER_1769594400000", true));
        let long = "x".repeat(60);
        let (made, same) = id_like::<OrderId>(&long, "orders", "7").unwrap();
        assert_eq!((made.as_str().len(), same), (32, false));
        assert_eq!(id_like::<OrderId>("", "orders", "7").unwrap().0, made);
        assert_ne!(id_like::<OrderId>(&long, "orders", "8").unwrap().0, made);
    }
}
