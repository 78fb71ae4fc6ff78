//! Kubernetes quantities, as far as they have to be compared: `1Gi` and `1024Mi` are the same, and
//! the API server may give back either for the other.

/// A quantity in units of a billionth; none if it is no quantity or too large to count.
#[must_use]
pub fn parse(text: &str) -> Option<i128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '+' | '-'));
    let (number, suffix) = text.split_at(end.unwrap_or(text.len()));
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction = fraction.get(..fraction.len().min(9))?;
    let places = u32::try_from(fraction.len()).ok()?;
    let whole = if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()? };
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<i128>().ok()? };
    let scale = 10i128.pow(9 - places);
    let billionths = whole.checked_mul(1_000_000_000)?.checked_add(part.checked_mul(scale)?)?;
    let (factor, divisor) = unit(suffix)?;
    let scaled = billionths.checked_mul(factor)? / divisor;
    Some(if negative { -scaled } else { scaled })
}

/// What a suffix multiplies by, and divides by.
fn unit(suffix: &str) -> Option<(i128, i128)> {
    let binary = |power| Some((1i128 << (10 * power), 1));
    let decimal = |power| Some((10i128.pow(power), 1));
    match suffix {
        "" => Some((1, 1)),
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1_000)),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let factor = 10i128.checked_pow(power.unsigned_abs()).filter(|_| power.abs() <= 18)?;
            Some(if power < 0 { (1, factor) } else { (factor, 1) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn equal_amounts_are_equal_however_they_are_written() {
        for (a, b) in [
            ("1Gi", "1024Mi"),
            ("1", "1000m"),
            ("0.5", "500m"),
            ("1.5Gi", "1536Mi"),
            ("1e3", "1k"),
            ("2E", "2000P"),
            ("+3", "3"),
            ("-1", "-1000m"),
            ("100n", "0.1u"),
        ] {
            assert!(parse(a).is_some(), "{a}");
            assert_eq!(parse(a), parse(b), "{a} and {b}");
        }
        assert!(parse("10Gi") > parse("10G"));
    }

    #[test]
    fn what_is_none_is_none() {
        for text in [
            "",
            "Gi",
            "1 Gi",
            "ten",
            "1.2.3",
            "1--",
            "1gi",
            "9999999999999999999999999999999999Ei",
            "1e99",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
